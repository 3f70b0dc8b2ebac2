"""What we believe that our sets hold, entry by entry, and what a change makes of it. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from excise.decide.plan import TOLERANCE_S, ChangeSet, Element, Measure
from excise.decide.span import Span, merged
from excise.enforce.ipset_layout import (
    ALLOW,
    GATE,
    PORTS,
    VERSIONS,
    SetSpec,
    cidrs,
    mask_of,
    span_of,
    spec_of,
)
from excise.enforce.ipset_wire import BITS, key_of

#: keys of one set, and epoch seconds until when
Held = dict[int, float]
#: more lapsed keys than this, and than live ones, are forgotten
FORGET_FROM = 1_000


class Shelf:
    """One set's keys. Counts those that are due without looking at each."""

    def __init__(self, held: Held | None = None) -> None:
        self.held: Held = held or {}
        self._ends = Counter(map(math.ceil, self.held.values()))
        self._order = list(self._ends)
        heapify(self._order)
        self._total = len(self.held)
        self._mark = -math.inf

    def put(self, key: int, until: float) -> None:
        """Hold a key until then."""
        self._forget_end(self.held.get(key))
        self.held[key] = until
        end = math.ceil(until)
        if end > self._mark:
            if end not in self._ends:
                heappush(self._order, end)
            self._ends[end] += 1
            self._total += 1

    def take(self, key: int) -> None:
        """Hold a key no longer."""
        self._forget_end(self.held.pop(key, None))

    def bounds(self, now: float) -> tuple[int, int]:
        """Return how many entries the kernel must and may count; deadlines are off a little."""
        self._mark = max(self._mark, math.floor(now - TOLERANCE_S))
        while self._order and self._order[0] <= self._mark:
            self._total -= self._ends.pop(heappop(self._order))
        if len(self.held) > 2 * self._total + FORGET_FROM:
            self.held = {k: until for k, until in self.held.items() if until > self._mark}
        # seconds that nothing ends in any more are no longer than the tolerance on both sides
        passing = range(int(self._mark) + 1, math.ceil(now + TOLERANCE_S) + 1)
        return self._total - sum(self._ends[end] for end in passing), self._total

    def _forget_end(self, until: float | None) -> None:
        if until is not None and math.ceil(until) > self._mark:
            self._ends[math.ceil(until)] -= 1
            self._total -= 1


@dataclass(frozen=True, slots=True)
class Steps:
    """What to do to the kernel: `put` first, then `take`, so that nothing is let go between."""

    put: dict[SetSpec, Held] = field(default_factory=dict)
    take: dict[SetSpec, list[int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(map(len, self.put.values())) + sum(map(len, self.take.values()))


class Ledger:
    """Owns the belief. Networks are remembered as the spans they were asked for as."""

    def __init__(self, elements: Iterable[Element] = ()) -> None:
        self._spans: dict[SetSpec, dict[Span, tuple[int, ...]]] = {}
        held: dict[SetSpec, Held] = {}
        specs: dict[tuple[Measure, int, int], SetSpec] = {}
        for e in elements:
            span = e.span
            if not span.is_host:
                self._enter(e, held)
                continue
            kind = (e.measure, span.version, e.rate)
            spec = specs.get(kind)
            if spec is None:
                spec = specs[kind] = spec_of(e.measure, span, e.rate)
                held.setdefault(spec, {})
            held[spec][key_of(span.start, BITS[span.version])] = e.until
        self.shelves = {spec: Shelf(keys) for spec, keys in held.items()}

    def held(self, spec: SetSpec) -> Held:
        """Return a set's keys."""
        shelf = self.shelves.get(spec)
        return shelf.held if shelf else {}

    def change(self, change: ChangeSet) -> Steps:
        """Note a change, and return what it takes to make it."""
        put: dict[SetSpec, Held] = {}
        take: dict[SetSpec, set[int]] = {}
        for e in change.removals:
            spec = spec_of(e.measure, e.span, e.rate)
            self._spans.get(spec, {}).pop(e.span, None)
            take.setdefault(spec, set()).update(keys_of(e.span))
        for e in change.additions:
            spec = self._enter(e, put)
            take.get(spec, set()).difference_update(keys_of(e.span))
        self._put(put)
        for spec, gone in take.items():
            shelf = self.shelves.setdefault(spec, Shelf())
            for key in gone:
                shelf.take(key)
        for version, gate in GATE.items():
            idle = self._idle(version, [s for s in take if s.version == version], take)
            if idle:
                take[gate] = idle
        return Steps(put, {spec: sorted(keys) for spec, keys in take.items() if keys})

    def _put(self, put: Mapping[SetSpec, Held]) -> None:
        for spec, keys in put.items():
            shelf = self.shelves.setdefault(spec, Shelf())
            if spec == GATE.get(spec.version):
                for key, until in keys.items():
                    keys[key] = max(until, shelf.held.get(key, until))
            for key, until in keys.items():
                shelf.put(key, until)

    def _idle(
        self, version: int, specs: Sequence[SetSpec], take: Mapping[SetSpec, set[int]]
    ) -> set[int]:
        """Take out and return what no set of throttled networks holds any more."""
        gate = self.shelves.setdefault(GATE[version], Shelf())
        gone = {k for s in specs if s.mask is not None for k in take[s]} & gate.held.keys()
        users = [s for spec, s in self.shelves.items() if spec.version == version and spec.is_gated]
        idle = {key for key in gone if not any(key in shelf.held for shelf in users)}
        for key in idle:
            gate.take(key)
        return idle

    def _enter(self, e: Element, into: dict[SetSpec, Held]) -> SetSpec:
        """Note an element's keys in `into`, and return the set that it belongs to."""
        spec = spec_of(e.measure, e.span, e.rate)
        keys = keys_of(e.span)
        here = into.setdefault(spec, {})
        for key in keys:
            here[key] = e.until
        if spec.is_network:
            self._spans.setdefault(spec, {})[e.span] = keys
        if spec.is_gated:
            gate = into.setdefault(GATE[spec.version], {})
            for key in keys:
                gate[key] = max(e.until, gate.get(key, e.until))
        return spec

    def elements_of(self, dumped: Mapping[SetSpec, Held]) -> Iterator[Element]:
        """Yield what dumped sets mean; networks in pieces are put together as we know them."""
        for spec, keys in dumped.items():
            measure = spec.measure
            if measure is None:
                continue
            if not spec.is_network:
                version, rate = spec.version, spec.rate
                for key, until in keys.items():
                    start = key >> 8
                    yield Element(measure, Span(version, start, start), rate, until)
                continue
            left = dict(keys)
            for span, pieces in self._spans.get(spec, {}).items():
                if all(piece in left for piece in pieces):
                    until = min(left.pop(piece) for piece in pieces)
                    yield Element(measure, span, spec.rate, until)
            for span, until in _joined(spec, left):
                yield Element(measure, span, spec.rate, until)


def keys_of(span: Span) -> tuple[int, ...]:
    """Return the entries that a span becomes."""
    if span.is_host:
        return (key_of(span.start, BITS[span.version]),)
    return tuple(cidrs(span))


def guards_of(allow: Sequence[Span], ports: Sequence[int]) -> dict[SetSpec, Held]:
    """Return what the guard sets hold."""
    content: dict[SetSpec, Held] = {PORTS: dict.fromkeys(ports, 0.0)}
    for version, spec in ALLOW.items():
        spans = [span for span in allow if span.version == version]
        content[spec] = {key: 0.0 for span in spans for key in cidrs(span)}
    return content


def allowed_in(dumped: Mapping[SetSpec, Held]) -> list[Span]:
    """Return what the allow sets hold, in order, without seams."""
    return merged(
        str(span_of(version, key)) for version in VERSIONS for key in dumped.get(ALLOW[version], {})
    )


def _joined(spec: SetSpec, keys: Held) -> Iterator[tuple[Span, float]]:
    """Join what lies side by side, ends together and shares a bucket, as pieces of one span do."""
    open_span: Span | None = None
    ends = 0.0
    for key in sorted(keys):
        span, until = span_of(spec.version, key), keys[key]
        if open_span and span.start == open_span.end + 1 and abs(until - ends) <= TOLERANCE_S:
            wider = Span(spec.version, open_span.start, span.end)
            if spec.mask is None or mask_of(wider) >= spec.mask:
                open_span, ends = wider, min(ends, until)
                continue
        if open_span:
            yield open_span, ends
        open_span, ends = span, until
    if open_span:
        yield open_span, ends
