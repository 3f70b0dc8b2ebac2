"""Spans as ipset's entries, and changes of them, against models."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from excise.decide.plan import ActiveSet, Element, Measure, gather, plan
from excise.decide.span import BITS, Span
from excise.enforce.ipset_layout import (
    GATE,
    MASKS,
    SetSpec,
    cidrs,
    mask_of,
    parse_name,
    span_of,
    spec_of,
)
from excise.enforce.ipset_ledger import Ledger

NOW = 1_000_000.0


@st.composite
def spans(draw):
    version = draw(st.sampled_from((4, 6)))
    top = (1 << BITS[version]) - 1
    start = draw(st.integers(0, top))
    end = draw(st.one_of(st.integers(start, top), st.integers(start, min(top, start + 300))))
    return Span(version, start, end)


@settings(max_examples=1_000)
@given(spans())
def test_the_entries_of_a_span_cover_it_exactly_once_and_each_is_a_network(span):
    pieces = [span_of(span.version, key) for key in cidrs(span)]
    assert (span.start, span.end) == (pieces[0].start, pieces[-1].end)
    assert all(b.start == a.end + 1 for a, b in pairwise(pieces))
    assert all(p.start % (p.end - p.start + 1) == 0 for p in pieces)
    assert all(1 <= key & 0xFF <= BITS[span.version] for key in cidrs(span))


@settings(max_examples=1_000)
@given(spans())
def test_the_bucket_of_a_span_holds_all_of_it_and_the_next_longer_one_would_not(span):
    masks, shift = MASKS[span.version], lambda mask: BITS[span.version] - mask
    chosen = mask_of(span)
    assert span.start >> shift(chosen) == span.end >> shift(chosen)
    for longer in (mask for mask in masks if mask > chosen):
        assert span.start >> shift(longer) != span.end >> shift(longer)


@st.composite
def worlds(draw):
    """Some elements; networks of one measure are disjoint, as the plan makes them."""
    found = []
    for measure in Measure:
        edges = sorted(draw(st.lists(st.integers(0, 63), max_size=6, unique=True)))
        rates = [0] if measure is Measure.DROP else [5_120, 51_200]
        for start, end in zip(edges[::2], edges[1::2], strict=False):
            rate = draw(st.sampled_from(rates))
            until = NOW + draw(st.sampled_from((100.0, 200.0)))
            found.append(Element(measure, Span(4, start, end), rate, until))
        for host in draw(st.lists(st.integers(0, 63), max_size=3)):
            rate = draw(st.sampled_from(rates))
            found += [Element(measure, Span(4, host, host), rate, NOW + 50)]
    return gather(found)


def model(world):
    """Return {set: {key: until}} the slow way, and what the gates must let through."""
    held, gate = {}, {}
    for e in world:
        spec = spec_of(e.measure, e.span, e.rate)
        for key in cidrs(e.span):
            held.setdefault(spec.name, {})[key] = e.until
            if spec.mask is not None:
                gate[key] = max(e.until, gate.get(key, 0.0))
    return held, gate


def kernel_after(kernel, steps):
    """Do to a dict what ipset would do."""
    for spec, keys in steps.put.items():
        kernel.setdefault(spec.name, {}).update(keys)
    for spec, keys in steps.take.items():
        for key in keys:
            kernel.get(spec.name, {}).pop(key, None)


@settings(max_examples=300)
@given(st.lists(worlds(), max_size=5))
def test_changes_one_after_another_lead_where_filling_anew_leads(path):
    ledger, kernel, active = Ledger(), {}, ActiveSet()
    for world in path:
        change = plan(world, active, tolerance_s=0.0)
        kernel_after(kernel, ledger.change(change))
        active = change.onto(active)
        held, gate = model(world)
        let_through = kernel.get(GATE[4].name, {})
        rest = {name: keys for name, keys in kernel.items() if name != GATE[4].name and keys}
        assert held == rest
        assert gate.keys() == let_through.keys()
        assert all(let_through[key] >= until for key, until in gate.items())
        fresh = {spec.name: shelf.held for spec, shelf in Ledger(world).shelves.items()}
        assert {**held, GATE[4].name: gate} == {GATE[4].name: {}, **fresh}


@settings(max_examples=300)
@given(worlds())
def test_what_is_dumped_means_what_was_asked_for(world):
    ledger = Ledger(world)
    dumped = {spec: dict(shelf.held) for spec, shelf in ledger.shelves.items()}
    assert plan(world, gather(ledger.elements_of(dumped)), tolerance_s=0.0).is_empty


@settings(max_examples=300)
@given(worlds())
def test_what_an_earlier_run_left_enforces_the_same_whatever_it_is_taken_for(world):
    """Without knowing the spans, the pieces are joined as they may have been; nothing is lost."""
    dumped = {spec: dict(shelf.held) for spec, shelf in Ledger(world).shelves.items()}

    def covered(elements):
        return {
            (e.measure, e.rate, address)
            for e in elements
            for address in range(e.span.start, e.span.end + 1)
        }

    taken = list(Ledger().elements_of(dumped))
    assert covered(world) == covered(taken)


@given(
    st.sampled_from((4, 6)),
    st.sampled_from(("egr", "igr", "newc")),
    st.integers(1, 1 << 31),
    st.one_of(st.none(), st.integers(0, 64)),
)
def test_names_are_read_back(version, role, rate, mask):
    spec = SetSpec(version, role, rate, mask)
    assert spec == parse_name(spec.name)
