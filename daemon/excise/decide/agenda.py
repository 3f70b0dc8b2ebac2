"""The agenda of a piece: which records need judging, and for what, in record order."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple


class Item(NamedTuple):
    """One thing to look at: `record` in the piece, kind and rule by number, place in the view.

    `kind` past the last kind stands for inherited evidence: the record's use is hot.
    """

    record: int
    kind: int
    rule: int
    place: int


@dataclass(slots=True)
class Agenda:
    """A heap of items; more may be added while it is worked off, for later records only."""

    items: list[Item] = field(default_factory=list)

    def add(self, items: Iterable[Item]) -> None:
        """Put items on the agenda."""
        for item in items:
            heapq.heappush(self.items, item)

    def first(self, otherwise: int) -> int:
        """Return the first record that has any item, or `otherwise`."""
        return self.items[0].record if self.items else otherwise

    def next(self) -> list[Item]:
        """Take all items of the first record that has any; empty when there are none left."""
        group: list[Item] = []
        while self.items and (not group or self.items[0].record == group[0].record):
            item = heapq.heappop(self.items)
            if not group or item != group[-1]:
                group.append(item)
        return group
