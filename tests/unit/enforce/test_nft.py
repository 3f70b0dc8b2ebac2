"""The nftables backend without a kernel: what it refuses, and how it cuts transactions.

What it does with a kernel is in tests/netns/test_nft_ruleset.py and test_nft_traffic.py.
"""

from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from excise.decide.plan import ActiveSet, ChangeSet
from excise.enforce.base import Enforcer
from excise.enforce.nft import SAMPLE, TRANSACTION_BYTES, Nftables, _sample
from excise.enforce.nft_wire import Message, Msg, transactions
from excise.errors import EnforceError


def test_it_is_an_enforcer():
    enforcer: Enforcer = Nftables()
    assert "nftables" == enforcer.name


@pytest.mark.parametrize(
    "use",
    [
        lambda nft: nft.read(),
        lambda nft: nft.replace(ActiveSet()),
        lambda nft: nft.set_guards([], [443]),
        lambda nft: nft.in_sync(),
        lambda nft: nft.lift_all(),
    ],
    ids=["read", "replace", "set_guards", "in_sync", "lift_all"],
)
def test_before_it_is_open_it_says_so(use):
    with pytest.raises(EnforceError, match="not open"):
        use(Nftables())


def test_closing_twice_or_never_having_opened_is_no_error():
    nft = Nftables()
    nft.close(keep=False)
    nft.close(keep=True)


def test_an_empty_change_needs_no_kernel():
    Nftables().apply(ChangeSet())


@given(st.lists(st.lists(st.binary(max_size=300), max_size=4), max_size=30))
def test_transactions_keep_the_order_cut_no_unit_and_stay_below_the_limit(bodies):
    units = [[Message(Msg.NEWSETELEM, 2, body * 200) for body in unit] for unit in bodies]
    parts = list(transactions(units, TRANSACTION_BYTES))
    assert [m for unit in units for m in unit] == [m for part in parts for m in part]
    largest = max((_size(unit) for unit in units), default=0)
    assert all(_size(part) <= max(TRANSACTION_BYTES, largest) for part in parts)
    ends = list(accumulate(map(len, parts)))
    assert set(ends) <= set(accumulate(map(len, units)))


def _size(messages):
    return sum(len(m.payload) + 64 for m in messages)


@given(st.integers(0, 5_000))
def test_a_sample_is_small_and_from_everywhere(count):
    found = _sample(range(count))
    assert len(found) == count if count <= SAMPLE else SAMPLE / 2 < len(found) <= SAMPLE
    assert all(b - a <= -(-count // SAMPLE) for a, b in pairwise([*found, count]))
