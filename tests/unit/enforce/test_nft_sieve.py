"""The sieve: whatever is held gets through it, and it comes to hold little else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from excise.decide.plan import ChangeSet, Element, Measure
from excise.decide.span import BITS, Span, parse_span
from excise.enforce import nft_sieve as sieve
from excise.enforce.nft_content import changes
from excise.enforce.nft_elem import keys_of
from excise.enforce.nft_layout import NEAR
from excise.enforce.nft_sieve import LEADING_BITS, MOST, Sieve, networks_in, part_of, parts
from excise.enforce.nft_wire import Msg, parse


@st.composite
def networks(draw, shortest=8):
    """Any network, of any width from `shortest`, or a piece of one."""
    version = draw(st.sampled_from((4, 6)))
    bits = BITS[version]
    rest = bits - draw(st.integers(shortest, bits - 1))
    # few networks, so that they meet
    start = (draw(st.integers(0, 1 << 12)) << bits - 12) % (1 << bits) >> rest << rest
    start += draw(st.integers(0, 3)) << rest if start + (4 << rest) <= 1 << bits else 0
    end = start + draw(st.integers(1, (1 << rest) - 1))
    return Span(version, start, end)


def leading(version, address):
    """Return what the kernel cuts a packet's address to, as a number."""
    return address >> BITS[version] - LEADING_BITS[version]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("198.51.100.0/24", {0xC633}),
        ("198.18.0.0/15", {0xC612, 0xC613}),
        ("255.255.255.0/24", {0xFFFF}),
        ("0.0.0.0/4", set(range(0x1000))),
        ("0.0.0.0/3", None),
        ("2001:db8:1::/48", {0x20010DB8}),
        ("2001:db8::/31", {0x20010DB8, 0x20010DB9}),
        ("2001::/16", None),
        ("::/0", None),
    ],
)
def test_a_network_needs_the_leading_bits_of_its_addresses(text, expected):
    span = parse_span(text)
    assert {4: set(), 6: set(), span.version: expected} == parts([span])


def test_many_narrow_networks_are_too_much_as_well():
    many = [Span(4, n << 16, (n << 16) + 15) for n in range(MOST + 1)]
    assert len(parts(many[:-1])[4]) == MOST
    assert parts(many)[4] is None


@given(st.lists(networks(), min_size=1, max_size=20), st.data())
def test_every_address_of_every_network_gets_through(held, data):
    span = data.draw(st.sampled_from(held))
    address = data.draw(st.sampled_from((span.start, span.end)) | st.integers(span.start, span.end))
    found = parts(held)[span.version]
    assert found is None or leading(span.version, address) in found


@given(st.lists(networks(shortest=16), max_size=20), st.integers(0, (1 << 32) - 1))
def test_no_address_gets_through_that_shares_no_leading_bits_with_a_network(held, address):
    shared = {leading(4, a) for s in held if s.version == 4 for a in (s.start, s.end)}
    found = parts(held)[4]
    # of a network this narrow the ends are in all the parts that it has
    assert found is not None
    assert (leading(4, address) in found) == (leading(4, address) in shared)


@pytest.mark.parametrize(
    ("version", "text", "expected"),
    [(4, "198.51.0.0", 0xC633), (4, "198.51.100.1", None), (6, "2001:db8::", 0x20010DB8)],
)
def test_an_entry_counts_only_if_a_packet_can_be_cut_to_it(version, text, expected):
    assert expected == part_of(version, parse_span(text).start)


def drops(spans):
    return tuple(Element(Measure.DROP, span, 0, 100.0) for span in spans)


@given(st.lists(networks(), max_size=20, unique=True), st.booleans())
def test_messages_tell_which_networks_they_put_in(spans, in_place):
    held = [s for s in spans if not (s.is_host or s.is_slash64)]
    sent = changes(ChangeSet(additions=drops(held)), lambda: 0.0, in_place=in_place)
    assert set(held) == set(networks_in(m for unit in sent for m in unit))


def test_networks_that_begin_in_one_message_and_end_in_the_next_are_told_whole():
    held = [Span(4, n << 12, (n << 12) + 99) for n in range(5_000)]
    (sent,) = changes(ChangeSet(additions=drops(held)), lambda: 0.0, in_place=True)
    assert len(sent) > 1
    assert held == networks_in(sent)


def test_what_is_no_network_needs_nothing():
    spans = [parse_span(text) for text in ("203.0.113.7", "2001:db8::7", "2001:db8::/64")]
    sent = changes(ChangeSet(additions=drops(spans)), lambda: 0.0, in_place=True)
    assert [] == networks_in(m for unit in sent for m in unit)


class Kernel:
    """What `near` would hold of all that was sent."""

    def __init__(self):
        self.there = {4: set(), 6: set()}

    def do(self, messages):
        for m in messages:
            fields = parse(m.payload)
            assert fields[2] == NEAR.name.encode() + b"\0"
            version = sieve.VERSIONS[m.family]
            found = {part_of(version, address) for address, _ in keys_of(fields[3])}
            if m.type == Msg.NEWSETELEM:
                self.there[version] |= found
            else:
                assert found <= self.there[version]
                self.there[version] -= found


@given(
    st.lists(
        st.tuples(st.sampled_from(("admit", "fail", "lapse", "tidy", "rob")), networks(20)),
        max_size=40,
    )
)
def test_whatever_happens_what_is_held_gets_through_and_nothing_else_for_long(steps):
    kernel, held, found = Kernel(), [], Sieve()
    for step, span in steps:
        if step in ("admit", "fail"):
            assert frozenset() == found.admit([span])
            if step == "admit":
                held.append(span)
                kernel.do(found.due())
                found.done()
        elif step == "lapse":
            held = held[1:]
        elif step == "rob" and kernel.there[4]:
            kernel.there[4].pop()
            assert not found.holds(kernel.there)
        if step in ("tidy", "rob"):
            assert {4, 6} == found.follow(kernel.there, held)
            kernel.do(found.due())
            found.done()
            kernel.do(found.tidy())
            assert parts(held) == kernel.there
        assert all(parts(held)[version] <= kernel.there[version] for version in (4, 6))
        assert found.holds(kernel.there)


def test_what_is_too_much_for_one_version_leaves_the_other_alone():
    found = Sieve()
    assert {6} == found.admit([parse_span("2001::/16"), parse_span("198.51.100.0/24")])
    kernel = Kernel()
    kernel.do(found.due())
    assert {4: {0xC633}, 6: set()} == kernel.there
    assert {4} == found.follow(kernel.there, [parse_span("2001::/16")])
    assert {4, 6} == found.follow(kernel.there, [])


def test_what_is_known_already_is_never_too_much():
    found = Sieve()
    full = {4: set(range(MOST + 10)), 6: set()}
    found.follow(full, [])
    assert frozenset() == found.admit([Span(4, 0, 15)])
    assert {4} == found.admit([Span(4, (MOST + 10) << 16, ((MOST + 10) << 16) + 15)])


def test_what_is_needed_again_meanwhile_is_not_taken_out():
    found, span = Sieve(), parse_span("198.51.100.0/24")
    found.follow({4: {0xC633}, 6: set()}, [])
    found.admit([span])
    assert [] == found.tidy()
