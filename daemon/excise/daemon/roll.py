"""What is enforced on the network plane, kept up by events, and what changed since the last look.

Networks nest or are apart, never half overlap. So a change reaches no further than the outermost
network around it, and the kernel's part of that region can be planned by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from excise.decide.holding import Deadlines
from excise.decide.span import Span, SpanIndex, outermost, parse_span
from excise.model.decision import Decision, DecisionEvent, Plane
from excise.store.store import ENDS


@dataclass(frozen=True, slots=True)
class Census:
    """How things stand at a moment, and what changed since the one before.

    `region`: disjoint spans that the changes reach, None where anything may have changed;
    `reached`: the decisions within. `everything()` returns all decisions as they stand when it is
    called, from any thread. `lapsed` of `total` decisions have ended by the wall clock.
    """

    region: tuple[Span, ...] | None
    reached: tuple[tuple[Span, Decision], ...]
    everything: Callable[[], Mapping[Span, Decision]]
    total: int
    lapsed: int


class Roll:
    """Owns the decisions by span; the event loop's alone, but for `Census.everything`."""

    def __init__(self, decisions: Iterable[Decision]) -> None:
        self.reset(decisions)

    def reset(self, decisions: Iterable[Decision]) -> None:
        """Begin anew: anything may have changed."""
        self._entries: dict[Span, Decision] = {}
        self._index = SpanIndex()
        #: how many networks there are of each (version, addresses)
        self._sizes: Counter[tuple[int, int]] = Counter()
        self._deadlines: Deadlines[Span] = Deadlines()
        self._lapsed: set[Span] = set()
        #: spans of forced decisions, which protection gives way to
        self._forced: set[Span] = set()
        self._changed: set[Span] | None = None
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
            if not self._leave(span):
                return
        else:
            self._enter(span, decision)
        if self._changed is not None:
            self._changed.add(span)

    def forced(self) -> list[str]:
        """Return the targets of forced decisions, in order of address."""
        return [self._entries[span].target for span in sorted(self._forced)]

    def around(self, span: Span) -> Iterator[Decision]:
        """Yield the decisions on a span and on the networks around it, the narrowest first."""
        decision = self._entries.get(span)
        if decision:
            yield decision
        for version, size in sorted(self._sizes):
            if version == span.version and size > span.end - span.start + 1:
                start = span.start // size * size
                wide = self._entries.get(Span(version, start, start + size - 1))
                if wide and start + size > span.end:
                    yield wide

    def census(self, now: float) -> Census:
        """Return how things stand at `now` (wall clock); the next one counts its changes from here.

        What ends by the wall clock has changed, although no event tells of it.
        """
        for span in list(self._deadlines.take(now)):
            decision = self._entries.get(span)
            if decision is None:
                continue
            if decision.until > now:
                self._deadlines.set(span, decision.until)
                continue
            self._lapsed.add(span)
            if self._changed is not None:
                self._changed.add(span)
        region = None
        if self._changed is not None:
            region = tuple(outermost(self._around(span) for span in self._changed))
        self._changed = set()
        reached = [(s, self._entries[s]) for wide in region or () for s in self._within(wide)]
        return Census(
            region=region,
            reached=tuple(reached),
            # copying a dict is one step for the interpreter: no event comes in between
            everything=self._entries.copy,
            total=len(self._entries),
            lapsed=len(self._lapsed),
        )

    def _enter(self, span: Span, decision: Decision) -> None:
        if span not in self._entries:
            self._index.add(span)
            if not span.is_host:
                self._sizes[span.version, span.end - span.start + 1] += 1
        self._entries[span] = decision
        self._deadlines.set(span, decision.until)
        self._lapsed.discard(span)
        if decision.forced:
            self._forced.add(span)
        else:
            self._forced.discard(span)

    def _leave(self, span: Span) -> bool:
        if self._entries.pop(span, None) is None:
            return False
        self._index.discard(span)
        if not span.is_host:
            size = span.version, span.end - span.start + 1
            self._sizes[size] -= 1
            if not self._sizes[size]:
                del self._sizes[size]
        self._deadlines.discard(span)
        self._lapsed.discard(span)
        self._forced.discard(span)
        return True

    def _around(self, span: Span) -> Span:
        """Return the widest enforced network around a span, or the span itself."""
        for version, size in sorted(self._sizes, reverse=True):
            if version == span.version and size > span.end - span.start + 1:
                start = span.start // size * size
                wide = Span(version, start, start + size - 1)
                if wide in self._entries:
                    return wide
        return span

    def _within(self, wide: Span) -> Iterable[Span]:
        if wide.is_host:
            return (wide,) if wide in self._entries else ()
        return self._index.within(wide)
