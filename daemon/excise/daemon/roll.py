"""What is enforced on the network plane, kept up by events, and what changed since the last look.

Networks nest or are apart, never half overlap. So a change reaches no further than the outermost
network around it, and the kernel's part of that region can be planned by itself.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from excise.decide.plan import BITS, Span, parse_span
from excise.model.decision import Decision, DecisionEvent, Plane
from excise.store.store import ENDS


@dataclass(frozen=True, slots=True)
class Entry:
    """A decision and the addresses that it covers."""

    span: Span
    decision: Decision


class Region:
    """Disjoint spans; answers what lies within."""

    def __init__(self, spans: Iterable[Span]) -> None:
        outer: list[Span] = []
        # Wider first where two begin at the same address.
        for span in sorted(spans, key=lambda s: (s.version, s.start, -s.end)):
            if not (outer and outer[-1].covers(span)):
                outer.append(span)
        self.spans = outer
        self._starts = [(span.version, span.start) for span in outer]

    @property
    def only_hosts(self) -> bool:
        """Whether it is made of single addresses."""
        return all(span.is_host for span in self.spans)

    def holds(self, span: Span) -> bool:
        """Whether a span lies within."""
        at = bisect_right(self._starts, (span.version, span.start)) - 1
        return at >= 0 and self.spans[at].covers(span)


@dataclass(frozen=True, slots=True)
class Census:
    """Everything enforced at a moment; `changed` since the one before, None: unknown."""

    entries: Mapping[Span, Entry]
    changed: frozenset[Span] | None

    def decisions(self) -> list[Decision]:
        """Return all decisions."""
        return [entry.decision for entry in self.entries.values()]

    def region(self) -> Region:
        """Return how far the changes reach."""
        sizes = sorted({(s.version, s.end - s.start + 1) for s in self.entries if not s.is_host})
        return Region(outermost(span, sizes, self.entries) for span in self.changed or ())

    def within(self, region: Region) -> Iterator[Decision]:
        """Yield the decisions in a region."""
        if region.only_hosts:
            found = (self.entries.get(span) for span in region.spans)
            yield from (entry.decision for entry in found if entry)
            return
        for span, entry in self.entries.items():
            if region.holds(span):
                yield entry.decision


def outermost(span: Span, sizes: list[tuple[int, int]], entries: Mapping[Span, Entry]) -> Span:
    """Return the widest enforced network around a span, or the span itself."""
    widest = span
    for version, size in sizes:
        if version == span.version and size > span.end - span.start + 1:
            start = span.start // size * size
            around = Span(version, start, start + size - 1)
            if around in entries:
                widest = around
    return widest


class Roll:
    """Owns the entries; the event loop's alone. A census is a copy, for any thread."""

    def __init__(self, decisions: Iterable[Decision]) -> None:
        self._entries: dict[Span, Entry] = {}
        self._changed: set[Span] | None = None
        #: spans of forced decisions, which protection gives way to
        self._forced: set[Span] = set()
        self.reset(decisions)

    def reset(self, decisions: Iterable[Decision]) -> None:
        """Begin anew: anything may have changed."""
        self._changed = None
        self._entries, self._forced = {}, set()
        for decision in decisions:
            if decision.plane is Plane.NETWORK and decision.enforcing:
                self._enter(parse_span(decision.target), decision)

    def note(self, event: DecisionEvent) -> None:
        """Follow a change of a decision."""
        decision = event.decision
        if decision.plane is not Plane.NETWORK:
            return
        span = parse_span(decision.target)
        if event.op in ENDS or not decision.enforcing:
            self._forced.discard(span)
            if self._entries.pop(span, None) is None:
                return
        else:
            self._enter(span, decision)
        if self._changed is not None:
            self._changed.add(span)

    def forced(self) -> list[str]:
        """Return the targets of forced decisions, in order of address."""
        return [self._entries[span].decision.target for span in sorted(self._forced)]

    def around(self, span: Span) -> Iterator[Decision]:
        """Yield the decisions on a span and on the networks around it, the narrowest first."""
        entry = self._entries.get(span)
        if entry:
            yield entry.decision
        size = 1
        while size <= span.end - span.start + 1:
            size *= 2
        while size <= 1 << BITS[span.version]:
            start = span.start // size * size
            entry = self._entries.get(Span(span.version, start, start + size - 1))
            if entry and entry.span.covers(span):
                yield entry.decision
            size *= 2

    def _enter(self, span: Span, decision: Decision) -> None:
        self._entries[span] = Entry(span, decision)
        if decision.forced:
            self._forced.add(span)
        else:
            self._forced.discard(span)

    def census(self) -> Census:
        """Return how things stand; the next census counts its changes from here."""
        changed = None if self._changed is None else frozenset(self._changed)
        self._changed = set()
        return Census(dict(self._entries), changed)
