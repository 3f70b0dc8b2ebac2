"""Rules ask only sets that hold something, and follow what comes and goes."""

import time

import pytest

from excise.decide.plan import ChangeSet, Element, Measure, gather, plan
from excise.decide.span import parse_span
from excise.enforce.nft import Nftables
from excise.enforce.nft_ground import REST_S

pytestmark = pytest.mark.netns

DROPS_HOST = "ip saddr @block ip saddr != @allow"
DROPS_NETWORK = "@near ip saddr @block_net ip saddr != @allow"


class Clock:
    """Time that passes when told."""

    def __init__(self):
        self.now = time.time()

    def __call__(self):
        return self.now


def drop(text, ttl_s=3600.0):
    return Element(Measure.DROP, parse_span(text), 0, time.time() + ttl_s)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def nft(namespace, clock):
    enforcer = Nftables(netns=namespace.name, clock=clock)
    enforcer.open()
    enforcer.set_guards([], [443])
    yield enforcer
    enforcer.close(keep=True)


def listed(namespace):
    return namespace.nft("-s", "list", "ruleset")


def chains(namespace):
    return listed(namespace).count("chain ")


def test_while_nothing_is_held_there_is_no_chain(namespace, nft):
    assert 0 == chains(namespace)
    assert nft.in_sync()


def test_the_first_element_of_a_set_brings_its_rules_and_no_others(namespace, nft):
    nft.apply(ChangeSet(additions=(drop("203.0.113.7"),)))
    assert DROPS_HOST in listed(namespace)
    assert DROPS_NETWORK not in listed(namespace)
    nft.apply(ChangeSet(additions=(drop("198.51.100.0/24"),)))
    assert DROPS_NETWORK in listed(namespace)
    assert "ip6 saddr" not in listed(namespace)
    assert nft.in_sync()


def test_an_element_put_into_an_empty_set_by_hand_is_asked_for_at_the_next_look(namespace, nft):
    namespace.nft("add element ip excise block { 203.0.113.7 timeout 1h }")
    assert nft.in_sync()
    assert DROPS_HOST in listed(namespace)
    assert nft.in_sync()


def test_a_restart_asks_what_holds_something(namespace, nft):
    nft.apply(ChangeSet(additions=(drop("203.0.113.7"), drop("198.51.100.0/24"))))
    nft.apply(ChangeSet(removals=(drop("198.51.100.0/24"),)))
    heir = Nftables(netns=namespace.name)
    heir.open()
    assert DROPS_HOST in listed(namespace)
    assert DROPS_NETWORK not in listed(namespace)
    heir.close(keep=True)


def test_tables_that_are_built_anew_with_their_content_ask_for_it(namespace, nft):
    wish = gather([drop("203.0.113.7"), drop("2001:db8::/48")])
    nft.replace(wish)
    before = listed(namespace)
    namespace.nft("flush ruleset")
    assert not nft.in_sync()
    nft.repair()
    assert plan(wish, nft.read()).is_empty
    assert chains(namespace) == before.count("chain ") > 0
    assert nft.in_sync()


def test_what_has_held_nothing_for_a_while_is_asked_no_longer(namespace, nft, clock):
    nft.apply(ChangeSet(additions=(drop("203.0.113.7"), drop("198.51.100.0/24"))))
    nft.apply(ChangeSet(removals=(drop("203.0.113.7"),)))
    seen = []
    for _ in range(3):
        assert nft.in_sync()
        seen.append((DROPS_HOST in listed(namespace), DROPS_NETWORK in listed(namespace)))
        clock.now += REST_S
    assert nft.in_sync()
    seen.append((DROPS_HOST in listed(namespace), DROPS_NETWORK in listed(namespace)))
    assert [(True, True), (True, True), (False, True), (False, True)] == seen
    nft.apply(ChangeSet(additions=(drop("203.0.113.8"),)))
    assert DROPS_HOST in listed(namespace)


def test_a_set_that_is_filled_again_in_between_goes_on_being_asked(namespace, nft, clock):
    nft.apply(ChangeSet(additions=(drop("203.0.113.7"),)))
    nft.apply(ChangeSet(removals=(drop("203.0.113.7"),)))
    clock.now += REST_S
    assert nft.in_sync()
    nft.apply(ChangeSet(additions=(drop("203.0.113.8"),)))
    clock.now += REST_S
    assert nft.in_sync()
    assert DROPS_HOST in listed(namespace)


def test_nothing_is_hooked_in_once_all_is_lifted_and_made_again(namespace, nft):
    nft.apply(ChangeSet(additions=(drop("203.0.113.7"),)))
    nft.lift_all()
    nft.replace(gather([]))
    assert 0 == chains(namespace)
    assert nft.in_sync()
