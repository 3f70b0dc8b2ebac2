"""What the kernel holds, and the least change that makes it hold something else. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from excise.decide.span import Span

#: deadlines closer than this are the same: the kernel counts in jiffies, we in round trips
TOLERANCE_S = 2.0


class Measure(StrEnum):
    """What the kernel does to a span. The unit of its rate stands beside it."""

    DROP = "drop"  # always 0
    EGRESS = "egress"  # bytes/s towards the span
    INGRESS = "ingress"  # bytes/s from the span
    CONNECTIONS = "connections"  # new TCP connections per hour from the span


class Element(msgspec.Struct, frozen=True, order=True, gc=False):
    """One entry of a kernel set: `rate` in the unit of `measure`, until epoch seconds."""

    measure: Measure
    span: Span
    rate: int
    until: float


def _nothing() -> Mapping[Measure, Mapping[Span, Element]]:
    return {measure: {} for measure in Measure}


@dataclass(frozen=True, slots=True)
class ActiveSet:
    """Elements by measure and span; spans of one measure that are no hosts are disjoint."""

    held: Mapping[Measure, Mapping[Span, Element]] = field(default_factory=_nothing)

    def __iter__(self) -> Iterator[Element]:
        for spans in self.held.values():
            yield from spans.values()

    def __len__(self) -> int:
        return sum(len(spans) for spans in self.held.values())

    def alive(self, now: float) -> ActiveSet:
        """Return what has not lapsed at `now`."""
        return gather(e for e in self if e.until > now)


#: the same shape: one is wished for, the other is
Desired = ActiveSet


def gather(elements: Iterable[Element]) -> ActiveSet:
    """Build a set of elements; of two for the same measure and span the later one stays."""
    held: dict[Measure, dict[Span, Element]] = {measure: {} for measure in Measure}
    for element in elements:
        held[element.measure][element.span] = element
    return ActiveSet(held)


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """Removals, to be done first, and additions.

    An addition of what is held renews its deadline; a changed rate is a removal and an addition
    of the same span.
    """

    removals: tuple[Element, ...] = ()
    additions: tuple[Element, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.removals and not self.additions

    def __len__(self) -> int:
        return len(self.removals) + len(self.additions)

    def onto(self, active: ActiveSet) -> ActiveSet:
        """Return `active` with this change done to it."""
        held = {measure: dict(spans) for measure, spans in active.held.items()}
        for element in self.removals:
            held[element.measure].pop(element.span, None)
        for element in self.additions:
            held[element.measure][element.span] = element
        return ActiveSet(held)


def plan(wish: Desired, active: ActiveSet, tolerance_s: float = TOLERANCE_S) -> ChangeSet:
    """Return the least change that turns `active` into `wish`, by measure, in the order of each."""
    removals: list[Element] = []
    additions: list[Element] = []
    for measure in Measure:
        want, have = wish.held[measure], active.held[measure]
        for span, element in have.items():
            wanted = want.get(span)
            if wanted is None or wanted.rate != element.rate:
                removals.append(element)
        for span, element in want.items():
            held = have.get(span)
            if (
                held is None
                or held.rate != element.rate
                or abs(held.until - element.until) > tolerance_s
            ):
                additions.append(element)
    return ChangeSet(tuple(removals), tuple(additions))
