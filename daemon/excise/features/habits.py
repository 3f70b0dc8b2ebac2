"""What single accounts are used for, and when: small integer histograms, and how fast they move on.

Hours of use, the grid of input by output tokens, output under models that are new on this host,
and questions that nobody asked before. Everything is counted for answered requests only, in whole
arrays, and comes out the same however the records are cut into batches.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from excise.features.batch import Batch
from excise.features.interner import Rows
from excise.features.models import Models
from excise.features.questions import Questions, numbered
from excise.features.state import DAY, HALF_LIVES, TINY, Column, Matrix
from excise.model.settings import Capacity

HOUR, HOUR_S = 1, 3600.0
#: hours of use that are kept
HOURS = 48
#: the grid of log2 (input, output) tokens: 8 by 8 bins of two octaves
BINS, OCTAVES = 8, 2.0
CELLS = BINS * BINS
#: columns of `sums`, with the half-life (index into HALF_LIVES) each decays by
FRESH, RECENT, HASHED, UNASKED = range(4)
DECAY = np.array([HOUR, HOUR, DAY, DAY])
Counts = NDArray[np.uint8] | NDArray[np.uint16]


class Habits:
    """Owns the histograms of accounts, the models' first days, and the memory of questions.

    `hours` has a count per account and hour, `HOURS` of them, the hour h since the epoch in column
    h modulo `HOURS`; `hour` is the newest. `grid` has counts of answers since the last turn of a
    generation, `grid_before` those of the generation before. All counts stop at their type's most.
    `sums` decay: output tokens under new models and all output tokens (1 h), requests whose
    question was hashed and those whose question was new (24 h).
    """

    def __init__(self, capacity: Capacity) -> None:
        rows = max(16, capacity.accounts) + 1
        self.hours: NDArray[np.uint16] = np.zeros((rows, HOURS), dtype=np.uint16)
        self.hour = 0
        self._top = 1
        self.grid: NDArray[np.uint8] = np.zeros((rows, CELLS), dtype=np.uint8)
        self.grid_before: NDArray[np.uint8] = np.zeros((rows, CELLS), dtype=np.uint8)
        self.sums: Matrix = np.zeros((rows, len(DECAY)))
        self.models = Models()
        self.questions = Questions(capacity.dialogues)

    def absorb(
        self, batch: Batch, at: slice, account: Rows, ts: Column, clock: Column, *, weights: Matrix
    ) -> None:
        """Make the records of a piece part of the state; `weights` are those of all half-lives."""
        good = np.flatnonzero((account > 0) & (batch.sums[at, 4] == 0) & (batch.output[at] > 0))
        self._turn_to(int(clock[0] // HOUR_S))
        if not len(good):
            return
        self._top = max(self._top, int(account.max()) + 1)
        account, ts, weights = account[good], ts[good], weights[good]
        tally(self.hours, account, (ts // HOUR_S).astype(np.int64) % HOURS)
        known = batch.llm[at][good] > 0
        cells = grid_cells(batch.log_input[at][good][known], batch.log_output[at][good][known])
        tally(self.grid, account[known], cells)
        output = batch.output[at][good]
        fresh = self.models.fresh(_picked(batch.model[at], good), ts)
        hashed = numbered(_picked(batch.simhash[at], good))
        unasked = self.questions.unasked(hashed, ts)
        for column, values in (
            (FRESH, output * fresh),
            (RECENT, output),
            (HASHED, hashed != 0),
            (UNASKED, unasked),
        ):
            if values.any():
                np.add.at(self.sums[:, column], account, values * weights[:, DECAY[column]])

    def _turn_to(self, hour: int) -> None:
        """Begin an hour; what stood in its column, and in those passed over, is forgotten."""
        passed = min(HOURS, hour - self.hour)
        if passed > 0:
            self.hours[: self._top, (hour - np.arange(passed)) % HOURS] = 0
            self.hour = hour

    def hourly(self, rows: Rows, now: float) -> Matrix:
        """Return requests of accounts by hour, shape (len(rows), HOURS); `now`'s comes last."""
        wanted = int(now // HOUR_S) - np.arange(HOURS)[::-1]
        kept = (wanted <= self.hour) & (wanted > self.hour - HOURS)
        counts: Matrix = self.hours[rows][:, wanted % HOURS].astype(np.float64) * kept
        return counts

    def answers(self, rows: Rows) -> Matrix:
        """Return answers of accounts by cell within 12 to 24 h, shape (len(rows), CELLS)."""
        total: Matrix = self.grid[rows].astype(np.float64) + self.grid_before[rows]
        return total

    # Housekeeping

    def turn(self, accounts: int) -> None:
        """Begin a new generation of grids; so many account rows are in use."""
        self.grid_before[:accounts] = self.grid[:accounts]
        self.grid[:accounts] = 0

    def rescale(self, seconds: float, accounts: int) -> None:
        """Move the landmark forward."""
        live = self.sums[:accounts]
        live *= 2.0 ** (-seconds / HALF_LIVES[DECAY])
        live[live < TINY] = 0.0

    def shift(self, seconds: float) -> None:
        """Follow a clock that was set back."""
        hours = round(seconds / HOUR_S)
        if self.hour:
            self.hours[: self._top] = np.roll(self.hours[: self._top], -hours, axis=1)
            self.hour -= hours
        self.models.shift(seconds)
        self.questions.shift(seconds)

    def forget(self, accounts: Rows) -> None:
        """Forget accounts."""
        self.hours[accounts] = 0
        self.grid[accounts] = self.grid_before[accounts] = 0
        self.sums[accounts] = 0.0

    def dump(self, accounts: int) -> dict[str, NDArray[np.generic]]:
        """Return the state as arrays; so many account rows are in use."""
        return {
            "habits.hours": self.hours[:accounts],
            "habits.hour": np.array([self.hour]),
            "habits.grid": self.grid[:accounts],
            "habits.grid_before": self.grid_before[:accounts],
            "habits.sums": self.sums[:accounts],
        } | (self.models.dump() | self.questions.dump())

    def load(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Load what `dump` returned."""
        for name, column in (
            ("habits.hours", self.hours),
            ("habits.grid", self.grid),
            ("habits.grid_before", self.grid_before),
            ("habits.sums", self.sums),
        ):
            column[: len(arrays[name])] = arrays[name]
        self.hour = int(arrays["habits.hour"].astype(np.int64)[0])
        self._top = max(1, len(arrays["habits.hours"]))
        self.models.load(arrays)
        self.questions.load(arrays)


def _picked(values: list[str], at: Rows) -> list[str]:
    """Return some of the values; all of them at once where all are wanted."""
    return values if len(at) == len(values) else list(map(values.__getitem__, at.tolist()))


def tally(counts: Counts, rows: Rows, columns: Rows) -> None:
    """Add one at each (row, column), where a count is full leaving it so."""
    places, times = np.unique(rows * counts.shape[1] + columns, return_counts=True)
    flat = counts.reshape(-1)
    flat[places] = np.minimum(flat[places] + times, np.iinfo(counts.dtype).max)


def grid_cells(log_input: Column, log_output: Column) -> Rows:
    """Return the cell of the grid of each (log2 input, log2 output), 0 to CELLS - 1."""
    x, y = (
        np.clip(np.floor(v / OCTAVES).astype(np.int64), 0, BINS - 1)
        for v in (log_input, log_output)
    )
    cells: Rows = x * BINS + y
    return cells
