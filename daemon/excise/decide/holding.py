"""What was made to be held, kept up change by change; what lapses is forgotten. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from heapq import heappop, heappush
from math import ceil
from typing import Generic, TypeVar

from excise.decide.plan import ActiveSet, ChangeSet, Element, Measure
from excise.decide.span import Span, SpanIndex

Key = TypeVar("Key", bound=Hashable)


class Deadlines(Generic[Key]):
    """Keys by the second in which they are due; each is kept once, however often it is put off.

    What is put off is still handed out at its earlier second: whoever takes it looks at its
    deadline, and sets it anew if it has not passed.
    """

    def __init__(self) -> None:
        self._second: dict[Key, int] = {}
        self._due: dict[int, list[Key]] = {}
        self._seconds: list[int] = []

    def set(self, key: Key, until: float) -> None:
        """Have a key handed out when `until` (epoch seconds) has passed, or before."""
        second = ceil(until)
        held = self._second.get(key)
        if held is not None and held <= second:
            return
        self._second[key] = second
        if second not in self._due:
            self._due[second] = []
            heappush(self._seconds, second)
        self._due[second].append(key)

    def discard(self, key: Key) -> None:
        """Forget a key."""
        self._second.pop(key, None)

    def take(self, now: float) -> Iterator[Key]:
        """Hand out what is due at `now`."""
        while self._seconds and self._seconds[0] <= now:
            second = heappop(self._seconds)
            for key in self._due.pop(second):
                if self._second.get(key) == second:
                    del self._second[key]
                    yield key


class Holding(Generic[Key]):
    """Elements by measure and span. `shelf` tells where each belongs, for `counts`."""

    def __init__(self, elements: Iterable[Element], shelf: Callable[[Element], Key]) -> None:
        self._shelf = shelf
        self._held: dict[Measure, dict[Span, Element]] = {measure: {} for measure in Measure}
        self._deadlines: Deadlines[tuple[Measure, Span]] = Deadlines()
        #: made when first asked for: whoever never asks does not pay for it
        self._index: dict[Measure, SpanIndex] = {}
        self.counts: Counter[Key] = Counter()
        for element in elements:
            self._add(element)

    def __iter__(self) -> Iterator[Element]:
        for spans in self._held.values():
            yield from spans.values()

    def __len__(self) -> int:
        return self.counts.total()

    def view(self) -> ActiveSet:
        """Return all of it; not a copy, so it changes with what is held."""
        return ActiveSet(self._held)

    def change(self, change: ChangeSet) -> None:
        """Follow a change, removals first."""
        for element in change.removals:
            self._remove(element.measure, element.span)
        for element in change.additions:
            self._add(element)

    def expire(self, now: float) -> None:
        """Forget what has lapsed at `now`, epoch seconds."""
        for measure, span in list(self._deadlines.take(now)):
            element = self._held[measure].get(span)
            if element is None:
                continue
            if element.until <= now:
                self._remove(measure, span)
            else:
                self._deadlines.set((measure, span), element.until)

    def within(self, outer: Iterable[Span]) -> ActiveSet:
        """Return what lies within these spans, which are disjoint."""
        found: dict[Measure, dict[Span, Element]] = {measure: {} for measure in Measure}
        for wide in outer:
            for measure, spans in self._held.items():
                if wide.is_host:
                    inside: Iterable[Span] = (wide,) if wide in spans else ()
                else:
                    inside = self._indexed(measure).within(wide)
                found[measure].update((span, spans[span]) for span in inside)
        return ActiveSet(found)

    def _indexed(self, measure: Measure) -> SpanIndex:
        if measure not in self._index:
            self._index[measure] = SpanIndex(self._held[measure])
        return self._index[measure]

    def _add(self, element: Element) -> None:
        measure, span = element.measure, element.span
        spans = self._held[measure]
        if span not in spans:
            self.counts[self._shelf(element)] += 1
            if measure in self._index:
                self._index[measure].add(span)
        spans[span] = element
        self._deadlines.set((measure, span), element.until)

    def _remove(self, measure: Measure, span: Span) -> None:
        element = self._held[measure].pop(span, None)
        if element is not None:
            self.counts[self._shelf(element)] -= 1
            self._deadlines.discard((measure, span))
            if measure in self._index:
                self._index[measure].discard(span)
