"""Marks: how many requests each account had answered at the borders of windows of equal length.

Kept only where trials are on. From two marks follows what was answered between them, exact to the
request for up to some 70 of them, since a sum that fades by half in a day fades alike for all.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from excise.features.conduct import AT
from excise.features.interner import Rows
from excise.features.state import DAY, HALF_LIVES, Column, Matrix
from excise.features.world import World
from excise.model.entity import Kind

#: windows before a trial that say what was usual; see `trial` for why so many
WINDOWS = 12
#: marks around these and the trial's own window
KEPT = WINDOWS + 2


class Marks:
    """Owns the marks, oldest first: when (event time), and requests by account row as of then."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.sums: list[Column] = []

    def take(self, world: World, now: float) -> None:
        """Add a mark; the oldest goes where there are enough."""
        used = world.used(Kind.ACCOUNT)
        self.times.append(now)
        self.sums.append(world.conduct.sums[:used, AT["requests"]] * world.fade(now))
        del self.times[:-KEPT], self.sums[:-KEPT]

    def since(self, windows: int) -> float:
        """Return when the last so many windows began."""
        return self.times[-windows - 1]

    def requests(self, rows: Rows, windows: int) -> Matrix:
        """Return requests of accounts in the last windows, whole numbers, (len(rows), windows)."""
        ends = [self._at(i, rows) for i in range(-windows - 1, 0)]
        times = self.times[-windows - 1 :]
        columns = []
        for i in range(windows):
            halves = (times[i + 1] - times[i]) / HALF_LIVES[DAY]
            between = ends[i + 1] - ends[i] * 2.0**-halves
            columns.append(np.rint(np.maximum(between, 0.0) * 2.0 ** (halves / 2)))
        found: Matrix = np.stack(columns, axis=1)
        return found

    def earlier(self, rows: Rows, windows: int) -> Column:
        """Return what accounts had answered when the last so many windows began, 24 h half-life."""
        return self._at(-windows - 1, rows)

    def _at(self, mark: int, rows: Rows) -> Column:
        """Return a mark of rows; who came later had nothing answered then."""
        sums = self.sums[mark]
        known = rows < len(sums)
        out: Column = np.zeros(len(rows))
        out[known] = sums[rows[known]]
        return out

    def clear(self) -> None:
        """Begin anew: time has not gone on evenly."""
        self.times.clear()
        self.sums.clear()

    def forget(self, rows: Rows) -> None:
        """Forget accounts whose rows were given up."""
        for sums in self.sums:
            sums[rows[rows < len(sums)]] = 0.0

    def step_back(self, seconds: float) -> None:
        """Follow a clock that was set back."""
        self.times = [at - seconds for at in self.times]

    def dump(self) -> dict[str, NDArray[np.generic]]:
        """Return the marks as arrays: times (m,), and sums (m, rows of the newest)."""
        width = max(map(len, self.sums), default=0)
        padded = [np.pad(s, (0, width - len(s))) for s in self.sums]
        sums = np.stack(padded) if padded else np.empty((0, 0))
        return {"marks.times": np.array(self.times), "marks.sums": sums}

    def load(self, times: Iterable[float], sums: Iterable[Column]) -> None:
        """Load what `dump` returned."""
        self.times = [float(at) for at in times]
        self.sums = [np.array(column, dtype=np.float64) for column in sums]
