"""Numbers of classes: given, kept, given back."""

from hypothesis import given
from hypothesis import strategies as st

from excise.decide.plan import Element, Measure
from excise.decide.span import parse_span
from excise.enforce.lanes import REST_S, Lanes, point, shape, unpoint
from excise.enforce.nft_elem import raw_elements
from excise.enforce.nft_wire import Msg, Reply, parse, walk

NOW = 1_000.0


def throttle(text, until=NOW + 600.0, rate=1_024):
    return Element(Measure.EGRESS, parse_span(text), rate, until)


def test_a_throttle_keeps_its_number_when_its_rate_or_deadline_changes():
    lanes = Lanes()
    first = lanes.put(throttle("192.0.2.1"))
    again = lanes.put(throttle("192.0.2.1", NOW + 900.0, 2_048))
    other = lanes.put(throttle("192.0.2.0/25"))
    assert (first.minor, 2) == (again.minor, other.minor)
    assert 2_048 == again.element.rate


def test_a_number_is_given_again_only_when_it_was_freed():
    lanes = Lanes(most=1)
    lanes.put(throttle("192.0.2.1"))
    lane = lanes.take(parse_span("192.0.2.1"))
    assert lanes.put(throttle("192.0.2.2")) is None
    lanes.free([lane])
    assert 1 == lanes.put(throttle("192.0.2.2")).minor


def test_what_lapsed_is_told_once_and_what_was_renewed_is_not():
    lanes = Lanes()
    lanes.put(throttle("192.0.2.1", NOW))
    lanes.put(throttle("192.0.2.2", NOW))
    lanes.put(throttle("192.0.2.2", NOW + 60.0))
    assert [] == lanes.lapsed(NOW + REST_S)
    (gone,) = lanes.lapsed(NOW + REST_S + 1)
    assert parse_span("192.0.2.1") == gone.element.span
    assert [] == lanes.lapsed(NOW + REST_S + 2)
    assert [parse_span("192.0.2.2")] == list(lanes.used)


steps = st.lists(st.tuples(st.sampled_from(("put", "take", "tick")), st.integers(0, 7)))


@given(steps)
def test_no_two_throttles_ever_share_a_number(taken):
    lanes, now, out = Lanes(most=6), NOW, []
    for what, n in taken:
        now += 2.0
        if what == "put":
            lanes.put(throttle(f"192.0.2.{n}", now + n))
        elif what == "take":
            out += filter(None, [lanes.take(parse_span(f"192.0.2.{n}"))])
        else:
            lanes.free(out)
            out = lanes.lapsed(now)
        minors = [lane.minor for lane in (*lanes.used.values(), *out)]
        assert len(minors) == len(set(minors))
        assert all(1 <= minor <= 6 for minor in minors)


def test_a_map_points_from_addresses_and_networks_to_classes():
    lanes = Lanes()
    given_out = [lanes.put(throttle(t)) for t in ("192.0.2.1", "192.0.2.128/25", "2001:db8::/64")]
    messages = list(point(given_out, NOW))
    assert [Msg.NEWSETELEM, Msg.DELSETELEM, Msg.NEWSETELEM] * 3 == [m.type for m in messages]
    entry = dict(walk(parse(messages[0].payload)[3]))[1]
    assert (0xE8C5_0001).to_bytes(4, "little") == parse(parse(entry)[2])[1]
    network = [raw for m in messages[3:4] for raw in raw_elements(Reply(0, 0, 0, 2, m.payload))]
    assert [False, True] == [raw.is_end for raw in network]
    assert [Msg.NEWSETELEM, Msg.DELSETELEM] * 3 == [m.type for m in unpoint(given_out, NOW)]


def test_interfaces_are_named_in_full_width_in_both_tables():
    messages = list(shape(["eth1"]))
    assert [
        (Msg.DELSETELEM, 2),
        (Msg.NEWSETELEM, 2),
        (Msg.DELSETELEM, 10),
        (Msg.NEWSETELEM, 10),
    ] == [(m.type, m.family) for m in messages]
    (raw,) = raw_elements(Reply(0, 0, 0, 2, messages[1].payload))
    assert b"eth1".ljust(16, b"\0") == raw.key
