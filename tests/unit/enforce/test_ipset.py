"""The ipset backend without a kernel: what it refuses.

What it does with a kernel is in tests/netns: test_backends.py, test_ipset_ruleset.py and, for
traffic, test_nft_traffic.py.
"""

import pytest

from excise.decide.plan import ActiveSet, ChangeSet
from excise.enforce.base import Enforcer
from excise.enforce.ipset import Ipset, _create
from excise.enforce.ipset_layout import SetSpec
from excise.errors import EnforceError


def test_it_is_an_enforcer():
    enforcer: Enforcer = Ipset()
    assert "ipset" == enforcer.name


@pytest.mark.parametrize(
    "use",
    [
        lambda ipset: ipset.read(),
        lambda ipset: ipset.replace(ActiveSet()),
        lambda ipset: ipset.set_guards(["192.0.2.0/24"], [443]),
        lambda ipset: ipset.repair(),
        lambda ipset: ipset.in_sync(),
        lambda ipset: ipset.lift_all(),
    ],
    ids=["read", "replace", "set_guards", "repair", "in_sync", "lift_all"],
)
def test_before_it_is_open_it_says_so(use):
    with pytest.raises(EnforceError, match="not open"):
        use(Ipset())


def test_closing_twice_or_never_having_opened_is_no_error():
    ipset = Ipset()
    ipset.close(keep=False)
    ipset.close(keep=True)


def test_an_empty_change_needs_no_kernel():
    Ipset().apply(ChangeSet())


def test_before_it_looked_it_asks_for_nothing():
    assert "" == Ipset().unmet()


@pytest.mark.parametrize(
    ("entries", "hashsize", "maxelem"),
    [(0, 1024, 1 << 18), (100_000, 1 << 17, 1 << 18), (1_000_000, 1 << 20, 1 << 21)],
)
def test_a_set_has_room_for_twice_what_it_is_made_for(entries, hashsize, maxelem):
    payload = _create(SetSpec(4, "block"), "x", entries).payload
    assert hashsize.to_bytes(4, "big") in payload
    assert maxelem.to_bytes(4, "big") in payload
