"""Which account went on with a conversation that another had begun: a bounded table of pairs.

A relay deals the turns of its customers' conversations out to its pool, so the accounts of the
pool continue each other. Sums decay with a half-life of 24 h.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from excise.features.interner import LOW_WATER, Interner, Rows
from excise.features.state import DAY, HALF_LIVES, TINY, Column


class Handoffs:
    """Owns the pairs of a taker and a giver, both account rows. Row 0 is nobody's."""

    def __init__(self, capacity: int) -> None:
        self._names: Interner[tuple[int, int]] = Interner(capacity, (0, 0))
        size = self._names.capacity + 1
        self.taker: Rows = np.zeros(size, dtype=np.int64)
        self.giver: Rows = np.zeros(size, dtype=np.int64)
        self.sums: Column = np.zeros(size)
        self.last: Column = np.zeros(size)

    @property
    def capacity(self) -> int:
        """The most pairs that a snapshot may hold."""
        return len(self.taker)

    def live(self) -> Rows:
        """Return the rows in use."""
        rows: Rows = np.flatnonzero(self.taker[: len(self._names.keys)])
        return rows

    def absorb(self, taker: Rows, giver: Rows, weight: Column, ts: Column) -> None:
        """Add hand-offs in the order of the records; `giver` is 0 where there was none."""
        at = np.flatnonzero(giver)
        pairs = zip(taker[at].tolist(), giver[at].tolist(), strict=True)
        for pair, added, when in zip(pairs, weight[at].tolist(), ts[at].tolist(), strict=True):
            row = self._one(*pair)
            self.sums[row] += added
            self.last[row] = when

    def _one(self, taker: int, giver: int) -> int:
        row, fresh = self._names.one((taker, giver))
        if row is None:
            live = self.live()
            surplus = len(live) - int(self._names.capacity * LOW_WATER)
            order = np.lexsort((self.last[live], self.sums[live]))
            self._forget(live[order[: max(1, surplus)]])
            return self._one(taker, giver)
        if fresh:
            self.taker[row], self.giver[row] = taker, giver
        return row

    def forget(self, accounts: Rows) -> None:
        """Forget all that accounts gave or took."""
        gone = np.isin(self.taker, accounts) | np.isin(self.giver, accounts)
        self._forget(np.flatnonzero(gone & (self.taker > 0)))

    def _forget(self, rows: Rows) -> None:
        self._names.forget(rows.tolist())
        self.taker[rows] = self.giver[rows] = 0
        self.sums[rows] = self.last[rows] = 0.0

    def rescale(self, seconds: float) -> None:
        """Move the landmark forward."""
        self.sums *= 2.0 ** (-seconds / HALF_LIVES[DAY])
        self.sums[self.sums < TINY] = 0.0

    def shift(self, seconds: float) -> None:
        """Follow a clock that was set back."""
        self.last[self.last > 0] -= seconds

    def dump(self) -> dict[str, NDArray[np.generic]]:
        """Return the pairs as arrays."""
        used = len(self._names.keys)
        return {
            "handoffs.taker": self.taker[:used],
            "handoffs.giver": self.giver[:used],
            "handoffs.sums": self.sums[:used],
            "handoffs.last": self.last[:used],
        }

    def load(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Load what `dump` returned."""
        used = len(arrays["handoffs.taker"])
        for name, column in (
            ("taker", self.taker),
            ("giver", self.giver),
            ("sums", self.sums),
            ("last", self.last),
        ):
            column[:used] = arrays[f"handoffs.{name}"]
        pairs = zip(self.taker[:used].tolist(), self.giver[:used].tolist(), strict=True)
        keys: list[tuple[int, int] | None] = [pair if pair[0] else None for pair in pairs]
        self._names.load([(0, 0), *keys[1:]])
