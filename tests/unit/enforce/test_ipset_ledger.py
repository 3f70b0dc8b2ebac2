"""The ledger's counts: what is due, what may still be there, what has passed."""

from excise.decide.plan import ChangeSet, Element, Measure
from excise.decide.span import parse_span
from excise.enforce.ipset_layout import GATE, SetSpec
from excise.enforce.ipset_ledger import FORGET_FROM, Ledger, Shelf

NOW = 1_000_000.0
NETS = SetSpec(4, "egr", 5_120, 24)


def element(text, until=NOW + 60, measure=Measure.EGRESS, rate=5_120):
    return Element(measure, parse_span(text), rate, until)


def test_a_deadline_near_by_may_be_counted_or_not():
    shelf = Shelf({1: NOW + 60, 2: NOW + 1, 3: NOW - 1, 4: NOW - 60})
    assert (1, 3) == shelf.bounds(NOW)
    assert (1, 1) == shelf.bounds(NOW + 10)
    assert (0, 0) == shelf.bounds(NOW + 100)


def test_a_renewal_moves_what_is_due_and_a_removal_ends_it():
    shelf = Shelf({1: NOW + 10})
    shelf.put(1, NOW + 100)
    shelf.put(2, NOW + 100)
    assert (2, 2) == shelf.bounds(NOW + 50)
    shelf.take(1)
    shelf.take(9)
    assert (1, 1) == shelf.bounds(NOW + 50)
    shelf.put(3, NOW)  # past already
    shelf.put(3, NOW + 200)
    assert (1, 1) == shelf.bounds(NOW + 150)


def test_what_has_passed_is_forgotten_after_a_while():
    shelf = Shelf()
    for n in range(5 * FORGET_FROM):
        shelf.put(n, NOW + n + 10)
        shelf.bounds(NOW + n)
    assert len(shelf.held) < 2 * FORGET_FROM


def test_a_network_is_let_through_the_gate_as_long_as_anything_holds_it():
    ledger = Ledger()
    egress = element("192.0.2.0/24", NOW + 50)
    ingress = element("192.0.2.0/24", NOW + 90, Measure.INGRESS)
    key = parse_span("192.0.2.0").start << 8 | 24
    steps = ledger.change(ChangeSet(additions=(egress, ingress)))
    assert {key: NOW + 90} == steps.put[GATE[4]]
    steps = ledger.change(ChangeSet(removals=(ingress,)))
    assert GATE[4] not in steps.take
    steps = ledger.change(ChangeSet(removals=(egress,)))
    assert {NETS: [key], GATE[4]: [key]} == steps.take
    assert {} == ledger.held(GATE[4])


def test_dropped_networks_and_single_addresses_need_no_gate():
    steps = Ledger().change(
        ChangeSet(additions=(element("192.0.2.0/24", measure=Measure.DROP), element("192.0.2.9")))
    )
    assert ["block-net", "egr"] == sorted(spec.role for spec in steps.put)


def test_another_rate_is_put_before_the_old_one_is_taken():
    old, new = element("192.0.2.0/24"), element("192.0.2.0/24", rate=51_200)
    ledger = Ledger([old])
    steps = ledger.change(ChangeSet(removals=(old,), additions=(new,)))
    assert {"excise4-egr-51200-24", "excise4-net"} == {spec.name for spec in steps.put}
    assert ["excise4-egr-5120-24"] == [spec.name for spec in steps.take]


def test_a_narrower_network_of_the_same_set_takes_only_what_it_does_not_need():
    whole = [element("192.0.2.0/25"), element("192.0.2.128/25")]
    ledger = Ledger(whole)
    steps = ledger.change(
        ChangeSet(removals=(whole[1],), additions=(element("192.0.2.128/26"), whole[0]))
    )
    taken = [parse_span("192.0.2.128").start << 8 | 25]
    assert [taken, taken] == list(steps.take.values())
