"""How many entries each of our sets must have, against how many the kernel counts. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from excise.decide.holding import Holding
from excise.decide.plan import TOLERANCE_S, Element
from excise.decide.span import BITS
from excise.enforce import nft_layout as layout
from excise.enforce.nft_layout import Name

#: a set's name, None for what the kernel does not count as one entry
Shelf = Name | None
#: the sets that are ours to fill, by (version, name)
OURS = frozenset(
    (version, spec.name)
    for version in BITS
    for shelves in layout.SETS.values()
    for spec in shelves.of(version)
)


def shelf(e: Element) -> Shelf:
    """Return the set that counts an element as one entry."""
    spec, span = layout.spec_of(e.measure, e.span), e.span
    if spec.interval and span.end == (1 << BITS[span.version]) - 1:
        return None  # the kernel counts pairs of entries, and this one has no closing one
    return span.version, spec.name


def lacks(held: Holding[Shelf], counts: Mapping[Name, int], now: float) -> bool:
    """Whether a set counts fewer entries than it must have; unknown before 6.16."""
    held.expire(now + TOLERANCE_S)
    due = held.counts.items()
    return any(counts.get(where, number) < number for where, number in due if where)
