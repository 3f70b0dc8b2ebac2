"""What our sets must count."""

import pytest

from excise.decide.holding import Holding
from excise.decide.plan import ChangeSet, Element, Measure
from excise.decide.span import parse_span
from excise.enforce.nft_content import changes
from excise.enforce.nft_layout import NETWORKS, OURS, build, sets_of
from excise.enforce.nft_tally import filled, holding, lacks, shelf


def drop(text, until=100.0):
    return Element(Measure.DROP, parse_span(text), 0, until)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("203.0.113.7", (4, "block")),
        ("203.0.113.0/24", (4, "block_net")),
        ("2001:db8::7", (6, "block")),
        ("2001:db8::/64", (6, "block_64")),
        ("2001:db8::/63", (6, "block_net")),
        ("255.255.255.255", (4, "block")),
        ("255.255.255.0/24", None),
    ],
)
def test_an_element_is_counted_where_it_is_held(text, expected):
    assert expected == shelf(drop(text))


@pytest.mark.parametrize(
    ("counts", "now", "expected"),
    [
        ({(4, "block"): 2}, 0.0, False),
        ({(4, "block"): 3}, 0.0, False),
        ({(4, "block"): 1}, 0.0, True),
        ({(4, "block"): 1}, 60.0, False),
        ({}, 0.0, False),
    ],
    ids=["as many", "more", "fewer", "one has lapsed", "a kernel that does not count"],
)
def test_fewer_entries_than_must_be_are_a_lack(counts, now, expected):
    held = Holding([drop("203.0.113.7", 50.0), drop("203.0.113.8")], shelf)
    assert expected == lacks(held, counts, now)


def test_messages_tell_which_sets_they_fill():
    texts = ["203.0.113.7", "203.0.113.0/24", "2001:db8::7", "2001:db8::/64", "2001:db8::/48"]
    additions = tuple(drop(text) for text in texts)
    sent = changes(ChangeSet(additions=additions), lambda: 0.0, in_place=True)
    assert {shelf(e) for e in additions} == filled(m for unit in sent for m in unit)
    assert frozenset() == filled(build((), 0))


def test_what_holds_something_is_what_the_kernel_counts_or_anything_where_it_does_not():
    sets = {(version, spec.name) for version in (4, 6) for spec in sets_of(version)}
    none = dict.fromkeys(sets, 0)
    assert frozenset() == holding(none, sets, ())
    assert {(6, "egr_64")} == holding({**none, (6, "egr_64"): 3, (4, "allow"): 2}, sets, ())
    assert OURS - NETWORKS == holding({}, sets, ())
    assert frozenset() == holding({}, set(), ())


def test_which_sets_of_networks_hold_something_is_not_told_by_the_kernels_count():
    counts, sets = {(4, "block_net"): 0, (4, "egr_net"): 2}, {(4, "block_net"), (4, "egr_net")}
    assert {(4, "block_net")} == holding(counts, sets, {(4, "block_net"): [1]})
