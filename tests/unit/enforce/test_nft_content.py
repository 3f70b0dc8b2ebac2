"""The sets' contents both ways, without a kernel."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from excise.decide.plan import ChangeSet, Element, Measure
from excise.decide.span import BITS, SLASH64, Span, parse_span
from excise.enforce import nft_content as content
from excise.enforce import nft_layout as layout
from excise.enforce.nft_elem import RawElement, element, elements_message, raw_elements
from excise.enforce.nft_wire import Msg, Reply, parse
from excise.model.portguard import NO_GUARD, PortGuard


def named(message, kind=1):
    return parse(message.payload)[kind].rstrip(b"\0").decode()


def elements(message):
    return list(raw_elements(Reply(12, 0, 1, message.family, message.payload)))


def drop(text, until=600.0):
    return Element(Measure.DROP, parse_span(text), 0, until)


def sent(change, *, now=0.0, in_place=True):
    """Return all messages of a change, in order."""
    return [m for unit in content.changes(change, lambda: now, in_place=in_place) for m in unit]


def kinds(messages):
    return [m.type for m in messages]


def test_a_removal_is_preceded_by_an_addition_so_that_a_lapsed_one_is_no_error():
    messages = sent(ChangeSet(removals=(drop("203.0.113.7"),)))
    assert [Msg.NEWSETELEM, Msg.DELSETELEM] == kinds(messages)
    assert {"block"} == {named(m, 2) for m in messages}


def test_pieces_of_a_network_are_replaced_in_one_transaction():
    change = ChangeSet((drop("203.0.113.0/24"),), (drop("203.0.112.0/23"), drop("192.0.2.1")))
    networks, clients = content.changes(change, lambda: 0.0, in_place=True)
    assert [Msg.NEWSETELEM, Msg.DELSETELEM, Msg.NEWSETELEM] == kinds(networks)
    assert {"block_net"} == {named(m, 2) for m in networks}
    assert ["block"] == [named(m, 2) for m in clients]


def test_another_rate_is_a_removal_and_an_addition_next_to_each_other():
    span = parse_span("203.0.113.7")
    before, after = (Element(Measure.EGRESS, span, rate, 600.0) for rate in (10, 20))
    (unit,) = content.changes(ChangeSet((before,), (after,)), lambda: 0.0, in_place=True)
    assert [Msg.NEWSETELEM, Msg.DELSETELEM, Msg.NEWSETELEM] == kinds(unit)


def test_where_renewal_in_place_does_nothing_an_addition_is_taken_out_and_put_in():
    messages = sent(ChangeSet(additions=(drop("203.0.113.7"),)), in_place=False)
    assert [Msg.NEWSETELEM, Msg.DELSETELEM, Msg.NEWSETELEM] == kinds(messages)


def test_many_elements_are_cut_into_messages_that_an_attribute_can_hold():
    wanted = [drop(f"203.0.{n // 256}.{n % 256}") for n in range(5_000)]
    messages = sent(ChangeSet(additions=tuple(wanted)))
    assert all(len(parse(m.payload)[3]) < 1 << 16 for m in messages)
    assert [e.span.start for e in wanted] == [
        int.from_bytes(raw.key, "big") for m in messages for raw in elements(m)
    ]


@pytest.mark.parametrize("target", ["203.0.113.7", "2001:db8::7", "2001:db8:1::/64"])
@pytest.mark.parametrize("kind", [Msg.NEWSETELEM, Msg.DELSETELEM])
def test_an_entry_filled_column_wise_is_one_packed_by_itself(target, kind):
    one = drop(target, 700.0)
    packed = content.key_of(one.span.version, one.span.start)
    expected = element(packed, 700_000 if kind is Msg.NEWSETELEM else None)
    change = ChangeSet(additions=(one,)) if kind is Msg.NEWSETELEM else ChangeSet((one,))
    assert expected == parse(sent(change)[-1].payload)[3]


@pytest.mark.parametrize(
    ("until", "expected_ms"),
    [(700.0, 600_000), (100.5, 1_000), (50.0, 1_000), (float("inf"), int(content.MOST_S * 1000))],
    ids=["ahead", "nearly over", "over", "never"],
)
def test_a_deadline_becomes_a_timeout(until, expected_ms):
    change = ChangeSet(additions=(drop("203.0.113.7", until),))
    (message,) = sent(change, now=100.0)
    assert [expected_ms] == [raw.expires_ms for raw in elements(message)]


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("192.0.2.0/24", ["c0000200", "c0000300"]),
        ("255.255.255.0/24", ["ffffff00"]),
        ("0.0.0.0/0", ["00000000"]),
    ],
    ids=["inside", "at the end of the address space", "all of it"],
)
def test_a_network_has_a_start_and_an_exclusive_end(text, bounds):
    (message,) = sent(ChangeSet(additions=(drop(text),)))
    assert bounds == [raw.key.hex() for raw in elements(message)]


@pytest.mark.parametrize("per_hour", [1, 30, 59, 60, 90, 360, 36_000])
def test_a_connection_rate_comes_back_as_it_was_sent(per_hour):
    e = Element(Measure.CONNECTIONS, parse_span("203.0.113.7"), per_hour, 600.0)
    (message,) = sent(ChangeSet(additions=(e,)))
    assert [per_hour] == [content.rate_of(raw, Measure.CONNECTIONS) for raw in elements(message)]


def raw(key, *, is_end=False):
    return RawElement(bytes([192, 0, 2, key]), is_end, None if is_end else 1000, ())


@pytest.mark.parametrize(
    ("raws", "expected"),
    [
        pytest.param(
            [raw(0), raw(8, is_end=True)], ["192.0.2.0/29"], id="a start and an end make a span"
        ),
        pytest.param(
            [raw(16, is_end=True), raw(8), raw(8, is_end=True), raw(0)],
            ["192.0.2.0/29", "192.0.2.8/29"],
            id="neighbours in any order",
        ),
        pytest.param(
            [raw(0), raw(8), raw(16, is_end=True)],
            ["192.0.2.0/29", "192.0.2.8/29"],
            id="a start ends what was open, as nft writes neighbours",
        ),
        pytest.param(
            [raw(0)], ["192.0.2.0-255.255.255.255"], id="an open end is the end of the addresses"
        ),
        pytest.param([raw(8, is_end=True)], [], id="an end alone is nothing"),
    ],
)
def test_a_dump_of_an_interval_set_is_paired(raws, expected):
    assert expected == [str(span) for span, _raw in content.spans_of(4, raws)]


@st.composite
def changes_of_one_set(draw):
    edges = sorted(draw(st.sets(st.integers(0, 2**32 - 1), min_size=2, max_size=12)))
    spans = [Span(4, a, b - 1) for a, b in pairwise(edges) if b - 1 > a]
    rate = st.integers(1, 2**40)
    return [Element(Measure.EGRESS, s, draw(rate), 500.0) for s in spans]


@given(changes_of_one_set())
def test_what_is_sent_is_what_is_read(wanted):
    messages = sent(ChangeSet(additions=tuple(wanted)), now=100.0)
    network = layout.SETS[Measure.EGRESS].network
    raws = [raw for m in messages for raw in elements(m)]
    assert wanted == list(content.elements_of(Measure.EGRESS, 4, network, raws, 100.0))


@st.composite
def dropped_clients(draw):
    version = draw(st.sampled_from([4, 6]))
    masked = version == 6 and draw(st.booleans())
    numbers = draw(st.lists(st.integers(0, 2 ** BITS[version] - 1), max_size=20, unique=True))
    low = SLASH64 if masked else 0
    spans = {Span(version, n & ~low, n | low): None for n in numbers}
    shelves = layout.SETS[Measure.DROP]
    spec = shelves.slash64 if masked else shelves.host
    until = st.integers(101_000, 10_000_000).map(lambda ms: ms / 1000)
    return version, spec, [Element(Measure.DROP, s, 0, draw(until)) for s in spans]


@given(dropped_clients())
def test_dropped_clients_are_read_the_same_the_quick_way_and_one_by_one(case):
    version, spec, wanted = case
    replies = [Reply(12, 0, 1, m.family, m.payload) for m in sent(ChangeSet((), tuple(wanted)))]
    quick = list(content.dropped_of(version, spec, replies, 0.0))
    raws = [raw for reply in replies for raw in raw_elements(reply)]
    assert quick == list(content.elements_of(Measure.DROP, version, spec, raws, 0.0))
    assert [e.span for e in wanted] == [e.span for e in quick]


def test_an_entry_without_a_deadline_among_dropped_clients_is_read_too():
    entries = [element(bytes([192, 0, 2, 1]), 5_000), element(bytes([192, 0, 2, 2]))]
    message = elements_message(Msg.NEWSETELEM, 2, "excise", "block", entries)
    reply = Reply(12, 0, 1, 2, message.payload)
    host = layout.SETS[Measure.DROP].host
    found = list(content.dropped_of(4, host, [reply], 0.0))
    assert [("192.0.2.1/32", 5.0), ("192.0.2.2/32", content.MOST_S)] == [
        (str(e.span), e.until) for e in found
    ]


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (drop("203.0.113.7", 601.0), True),
        (drop("203.0.113.7", 610.0), False),
        (drop("203.0.113.0/24", 600.0), False),
        (None, False),
    ],
    ids=["the same", "another deadline", "another span", "nothing"],
)
def test_the_kernels_answer_is_held_against_the_wish(held, expected):
    assert expected == content.agrees(drop("203.0.113.7", 600.0), held, 100.0)


def test_what_may_have_lapsed_by_now_is_not_missed():
    assert content.agrees(drop("203.0.113.7", 600.0), None, 599.0)


def test_what_is_shut_is_held_beside_what_passes():
    guard = PortGuard((8001, 8000), ("192.0.2.0/25", "192.0.2.128/25"))
    held = content.guards_of([], [443], guard)

    assert ((8000, 8001), (parse_span("192.0.2.0/24"),)) == (held.shut, held.shut_allow)
    assert {"allow", "ports", "guarded", "guard_allow"} == {
        named(m, 2) for m in content.guards(held)
    }


@pytest.mark.parametrize("port", [0, 65_536, -1])
def test_what_is_no_port_cannot_be_shut(port):
    with pytest.raises(ValueError, match="not a port"):
        content.guards_of([], [443], PortGuard((port,)))


def test_guards_are_emptied_and_filled_in_both_tables():
    messages = list(content.guards(content.guards_of(["192.0.2.0/24"], [443, 443], NO_GUARD)))
    assert [
        (Msg.DELSETELEM, 2, "allow"),
        (Msg.DELSETELEM, 2, "ports"),
        (Msg.NEWSETELEM, 2, "allow"),
        (Msg.NEWSETELEM, 2, "ports"),
        (Msg.DELSETELEM, 10, "allow"),
        (Msg.DELSETELEM, 10, "ports"),
        (Msg.NEWSETELEM, 10, "ports"),
    ] == [(m.type, m.family, named(m, 2)) for m in messages]
