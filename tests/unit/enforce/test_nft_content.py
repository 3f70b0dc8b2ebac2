"""The sets' contents both ways, without a kernel."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from excise.decide.plan import ChangeSet, Element, Measure, Span, parse_span
from excise.enforce import nft_content as content
from excise.enforce import nft_layout as layout
from excise.enforce.nft_elem import RawElement, raw_elements
from excise.enforce.nft_wire import Msg, Reply, parse
from excise.model.portguard import NO_GUARD, PortGuard


def named(message, kind=1):
    return parse(message.payload)[kind].rstrip(b"\0").decode()


def elements(message):
    return list(raw_elements(Reply(12, 0, 1, message.family, message.payload)))


def drop(text, until=600.0):
    return Element(Measure.DROP, parse_span(text), 0, until)


def test_a_removal_is_preceded_by_an_addition_so_that_a_lapsed_one_is_no_error():
    messages = list(
        content.changes(ChangeSet(removals=(drop("203.0.113.7"),)), lambda: 0.0, in_place=True)
    )
    assert [Msg.NEWSETELEM, Msg.DELSETELEM] == [m.type for m in messages]
    assert {"block"} == {named(m, 2) for m in messages}


def test_removals_come_before_additions():
    change = ChangeSet((drop("203.0.113.0/24"),), (drop("203.0.112.0/23"),))
    messages = list(content.changes(change, lambda: 0.0, in_place=True))
    assert [Msg.NEWSETELEM, Msg.DELSETELEM, Msg.NEWSETELEM] == [m.type for m in messages]


def test_where_renewal_in_place_does_nothing_an_addition_is_taken_out_and_put_in():
    change = ChangeSet(additions=(drop("203.0.113.7"),))
    messages = list(content.changes(change, lambda: 0.0, in_place=False))
    assert [Msg.NEWSETELEM, Msg.DELSETELEM, Msg.NEWSETELEM] == [m.type for m in messages]


@pytest.mark.parametrize(
    ("until", "expected_ms"),
    [(700.0, 600_000), (100.5, 1_000), (50.0, 1_000), (float("inf"), int(content.MOST_S * 1000))],
    ids=["ahead", "nearly over", "over", "never"],
)
def test_a_deadline_becomes_a_timeout(until, expected_ms):
    change = ChangeSet(additions=(drop("203.0.113.7", until),))
    (message,) = content.changes(change, lambda: 100.0, in_place=True)
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
    (message,) = content.changes(ChangeSet(additions=(drop(text),)), lambda: 0.0, in_place=True)
    assert bounds == [raw.key.hex() for raw in elements(message)]


@pytest.mark.parametrize("per_hour", [1, 30, 59, 60, 90, 360, 36_000])
def test_a_connection_rate_comes_back_as_it_was_sent(per_hour):
    e = Element(Measure.CONNECTIONS, parse_span("203.0.113.7"), per_hour, 600.0)
    (message,) = content.changes(ChangeSet(additions=(e,)), lambda: 0.0, in_place=True)
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
    messages = content.changes(ChangeSet(additions=tuple(wanted)), lambda: 100.0, in_place=True)
    _host, network = layout.SETS[Measure.EGRESS]
    raws = [raw for m in messages for raw in elements(m)]
    assert wanted == list(content.elements_of(Measure.EGRESS, 4, network, raws, 100.0))


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
