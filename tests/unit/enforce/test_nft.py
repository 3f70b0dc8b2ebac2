"""The nftables backend without a kernel: what it refuses, and how it cuts transactions.

What it does with a kernel is in tests/netns/test_nft_ruleset.py and test_nft_traffic.py.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from excise.decide.plan import ActiveSet, ChangeSet, Element, Measure, Span
from excise.enforce.base import Enforcer
from excise.enforce.nft import Nftables, _parts
from excise.enforce.nft_wire import Message, Msg
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


@given(st.lists(st.binary(max_size=300), max_size=30), st.integers(400, 2000))
def test_transactions_keep_the_order_lose_nothing_and_stay_below_the_limit(bodies, limit):
    messages = [Message(Msg.NEWSETELEM, 2, body) for body in bodies]
    parts = list(_parts(messages, limit))
    assert messages == [m for part in parts for m in part]
    assert all(sum(len(m.payload) + 64 for m in part) <= limit for part in parts)


def test_what_has_lapsed_is_forgotten_after_a_while():
    now = [0.0]
    nft = Nftables(clock=lambda: now[0])
    for n in range(5_000):
        now[0] = float(n)
        one = Element(Measure.DROP, Span(4, n, n), 0, until=n + 10.0)
        nft._believe(ChangeSet(additions=(one,)))
    assert len(list(nft._all_believed())) < 2_100
