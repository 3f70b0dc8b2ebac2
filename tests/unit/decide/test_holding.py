"""What is remembered of the kernel's sets, against dictionaries that are looked through."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from excise.decide.holding import Deadlines, Holding
from excise.decide.plan import ActiveSet, ChangeSet, Element, Measure, gather, plan
from excise.decide.span import parse_span

TARGETS = [
    *(f"192.0.2.{n}" for n in range(6)),
    "192.0.2.0/29",
    "192.0.2.0/24",
    "2001:db8::/64",
    "2001:db8:0:1::/64",
    "2001:db8::/48",
]
elements = st.builds(
    Element,
    st.sampled_from([Measure.DROP, Measure.EGRESS]),
    st.sampled_from(TARGETS).map(parse_span),
    st.sampled_from([0, 10]),
    st.integers(1, 9).map(float),
)
sets = st.lists(elements, max_size=12).map(gather)


def shelf(element):
    return element.measure, element.span.is_host


@given(st.lists(st.tuples(sets, st.integers(0, 9)), max_size=6), st.sampled_from(TARGETS))
def test_it_holds_what_changes_and_time_left(rounds, outer):
    held = Holding((), shelf)
    model = ActiveSet()
    for wanted, now in rounds:
        held.expire(float(now))
        model = model.alive(float(now))
        change = plan(wanted, model, tolerance_s=0.0)
        held.change(change)
        model = change.onto(model)
        # what was there already and came again is still counted once
        assert model == held.view()
        assert Counter(map(shelf, model)) == +held.counts
        assert len(model) == len(held)
        wide = parse_span(outer)
        assert gather(e for e in model if wide.covers(e.span)) == held.within([wide])


def test_what_is_added_again_with_a_later_end_outlives_its_first():
    span = parse_span("192.0.2.1")
    held = Holding([Element(Measure.DROP, span, 0, 5.0)], shelf)
    held.change(ChangeSet(additions=(Element(Measure.DROP, span, 0, 50.0),)))

    held.expire(6.0)
    assert len(held) == 1
    held.expire(50.0)
    assert len(held) == 0


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 20)), max_size=30))
def test_every_key_is_handed_out_by_its_latest_deadline(settings):
    deadlines = Deadlines()
    latest = {}
    for key, until in settings:
        deadlines.set(key, float(until))
        latest[key] = float(until)
    seen = set()
    for now in range(21):
        for key in list(deadlines.take(float(now))):
            if latest[key] <= now:
                seen.add(key)
            else:
                deadlines.set(key, latest[key])
        assert {key for key, until in latest.items() if until <= now} == seen


def test_a_forgotten_key_is_not_handed_out():
    deadlines = Deadlines()
    deadlines.set("a", 1.0)
    deadlines.discard("a")

    assert [] == list(deadlines.take(2.0))
