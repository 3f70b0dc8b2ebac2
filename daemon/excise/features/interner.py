"""Names to row numbers, bounded."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

K = TypeVar("K", bound=Hashable)
Rows = NDArray[np.int64]
#: share of a table that is in use when it forgets, and after it has forgotten
HIGH_WATER, LOW_WATER = 0.95, 0.75


class Interner(Generic[K]):
    """Maps keys to dense rows. Row 0 belongs to `nobody`, the key that means "not known"."""

    def __init__(self, capacity: int, nobody: K) -> None:
        self.capacity = max(16, capacity)
        self.rows: dict[K, int] = {nobody: 0}
        self.keys: list[K | None] = [nobody]
        self._free: list[int] = []
        self.evicted = 0
        self._limit = int(self.capacity * HIGH_WATER)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def room(self) -> int:
        """How many new keys can be taken before rows must be forgotten."""
        return max(0, self._limit - len(self.rows))

    @property
    def full(self) -> bool:
        """Whether the next new key has to wait until rows were forgotten."""
        return len(self.rows) >= self._limit

    def intern(self, keys: list[K]) -> tuple[Rows, list[int], int]:
        """Return rows of keys in order, the positions of new keys, and how many keys were taken.

        Fewer than all are taken when the table fills up: forget rows, then come again.
        """
        found = list(map(self.rows.get, keys))
        fresh: list[int] = []
        if None in found:
            for i, row in enumerate(found):
                if row is not None:
                    continue
                again = self.rows.get(keys[i])
                if again is None:
                    if self.full:
                        return np.array(found[:i], dtype=np.int64), fresh, i
                    again = self._add(keys[i])
                    fresh.append(i)
                found[i] = again
        return np.array(found, dtype=np.int64), fresh, len(keys)

    def one(self, key: K) -> tuple[int | None, bool]:
        """Return a key's row and whether it is new; None if it would be, and the table is full."""
        row = self.rows.get(key)
        if row is not None:
            return row, False
        return (None, False) if self.full else (self._add(key), True)

    def _add(self, key: K) -> int:
        row = self._free.pop() if self._free else len(self.keys)
        if row == len(self.keys):
            self.keys.append(key)
        else:
            self.keys[row] = key
        self.rows[key] = row
        return row

    def forget(self, rows: Iterable[int]) -> None:
        """Free rows for new keys."""
        for row in rows:
            key = self.keys[row]
            if key is not None and row:
                del self.rows[key]
                self.keys[row] = None
                self._free.append(row)
                self.evicted += 1

    def load(self, keys: list[K | None]) -> None:
        """Replace all names; None marks a free row."""
        self.keys = keys
        self.rows = {key: row for row, key in enumerate(keys) if key is not None}
        self._free = [row for row, key in enumerate(keys) if key is None]

    def name(self, row: int) -> K:
        """Return the key of a live row."""
        key = self.keys[row]
        if key is None:
            raise LookupError(f"row {row} is free")
        return key
