"""One table per kind of entity: struct of arrays, a row per entity.

Sums decay forward (Cormode et al., ICDE 2009): a value x at time t adds x * 2^((t - L) / h)
against a landmark L, so nothing has to be touched to age, and a late line gets its right weight.
`prefix` gives the sums as they stood after every single record, by adding in the order of the
records, one after another: so the numbers are the same to the last bit however the records are
cut into batches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from excise.features.interner import Rows
from excise.features.sketch import BITS, HOURS, Sketch
from excise.features.table import DISTINCT, HALF_LIVES_S, QUANTITIES
from excise.model.entity import Kind

Matrix = NDArray[np.float64]
Column = NDArray[np.float64]
HALF_LIVES = np.array(list(HALF_LIVES_S.values()))
#: shared columns: quantity-major, half-lives 1 min, 1 h, 24 h
SUMS = tuple(f"{q}_{h}" for q in QUANTITIES for h in HALF_LIVES_S)
#: further shared columns, with the half-life (index into HALF_LIVES) each decays by
EXTRA = {
    "plaintext_1h": 1,
    "direct_24h": 2,
    "llm_requests_24h": 2,
    "log_input": 2,
    "log_output": 2,
    "log_output_sq": 2,
}
SHARED = (*SUMS, *EXTRA)
GAPS = {"gaps_1h": 1, "log_gap": 1, "log_gap_sq": 1}
#: half-life by column; -1: does not decay
DECAY = np.array([*([0, 1, 2] * len(QUANTITIES)), *EXTRA.values()])
TINY = 1e-250  # below this a decayed sum is nothing; keeps denormals out of the arithmetic


@dataclass(frozen=True, slots=True)
class Moment:
    """One piece's table numbers per record: the row, sums after the record, and the gap before it.

    `sums` has a column per `Table.columns`; `age_s` and `idle_s` are seconds.
    """

    rows: Rows
    sums: Matrix
    age_s: Column
    idle_s: Column


@dataclass(frozen=True, slots=True)
class Added:
    """What the records of a piece bring, the same for every kind.

    `weights` (n, 3) are 2^((ts - L) / h); `shared` (n, len(SHARED)) is already weighted;
    `elements` gives, per distinct count, the bit of each record and whether it is known.
    """

    ts: Column
    weights: Matrix
    shared: Matrix
    elements: dict[str, tuple[Rows, NDArray[np.bool_]]]

    def take(self, at: Rows) -> Added:
        """Return the numbers of some records, in that order."""
        elements = {name: (bit[at], known[at]) for name, (bit, known) in self.elements.items()}
        return Added(self.ts[at], self.weights[at], self.shared[at], elements)


class Table:
    """All entities of one kind."""

    def __init__(self, kind: Kind, capacity: int) -> None:
        self.kind, self.capacity = kind, capacity
        self.distinct = DISTINCT[kind]
        self.columns = (*SHARED, *GAPS, "total", *self.distinct)
        self.index = {name: i for i, name in enumerate(self.columns)}
        self.decay = np.concatenate(
            [DECAY, list(GAPS.values()), np.full(1 + len(self.distinct), -1)]
        ).astype(np.int64)
        self.sums: Matrix = np.zeros((capacity, len(self.columns)))
        self.first: Column = np.zeros(capacity)
        self.last: Column = np.zeros(capacity)
        self.sketches = {
            name: Sketch(capacity, HOURS if name == "active_hours" else BITS)
            for name in self.distinct
        }

    def moment(self, rows: Rows, numbers: Added) -> Moment:
        """Work out a piece without committing it (sketches are marked at once)."""
        order = np.argsort(rows, kind="stable")
        idle = self._idle(rows, numbers.ts, order)
        sums = prefix(rows, order, self.sums, self._added(rows, numbers, idle))
        age = np.maximum(numbers.ts - self.first[rows], 0.0)
        return Moment(rows, sums, age, np.maximum(idle, 0.0))

    def absorb(self, rows: Rows, numbers: Added) -> None:
        """Make a piece part of the state at once, where nobody asks for its single records."""
        order = np.argsort(rows, kind="stable")
        idle = self._idle(rows, numbers.ts, order)
        added = self._added(rows, numbers, idle)
        sorted_rows = rows[order]
        starts = np.flatnonzero(np.concatenate(([True], sorted_rows[1:] != sorted_rows[:-1])))
        self.sums[sorted_rows[starts]] += np.add.reduceat(added[order], starts, axis=0)
        self.last[rows] = numbers.ts

    def _added(self, rows: Rows, numbers: Added, idle: Column) -> Matrix:
        """Return what every record adds to its row, shape (n, len(columns))."""
        added = np.empty((len(rows), len(self.columns)))
        k = numbers.shared.shape[1]
        added[:, :k] = numbers.shared
        known = idle >= 0
        log_gap = np.where(known, np.log2(np.maximum(idle, 0.0) + 1e-3), 0.0)
        w = numbers.weights[:, 1] * known
        added[:, k], added[:, k + 1], added[:, k + 2] = w, w * log_gap, w * log_gap * log_gap
        added[:, k + 3] = 1.0
        for j, name in enumerate(self.distinct):
            added[:, k + 4 + j] = self.sketches[name].mark(rows, *numbers.elements[name])
        return added

    def _idle(self, rows: Rows, ts: Column, order: Rows) -> Column:
        """Seconds since the row's record before, per record; -1 where there was none."""
        sorted_rows, sorted_ts = rows[order], ts[order]
        before = np.empty(len(rows))
        before[1:] = sorted_ts[:-1]
        head = np.ones(len(rows), dtype=bool)
        head[1:] = sorted_rows[1:] != sorted_rows[:-1]
        last = self.last[sorted_rows[head]]
        before[head] = np.where(last > 0, last, np.inf)
        idle = np.empty(len(rows))
        gap = sorted_ts - before
        idle[order] = np.where(np.isneginf(gap), -1.0, np.maximum(gap, 0.0))
        return idle

    def commit(self, moment: Moment, ts: Column, begin: int, end: int) -> None:
        """Make records begin..end of a piece part of the state."""
        rows = moment.rows[begin:end]
        self.sums[rows] = moment.sums[begin:end]  # numpy assigns in order: the last one stays
        self.last[rows] = ts[begin:end]

    def rescale(self, seconds: float, used: int) -> None:
        """Move the landmark forward by `seconds`; `used` rows from the first are in use."""
        factor = 2.0 ** (-seconds / HALF_LIVES)
        factors = np.where(self.decay >= 0, factor[self.decay], 1.0)
        live = self.sums[:used]
        live *= factors
        live[np.abs(live) < TINY] = 0.0

    def turn(self, used: int) -> None:
        """Begin a new generation of distinct counts."""
        for name, sketch in self.sketches.items():
            self.sums[:used, self.index[name]] = sketch.turn(used)

    def shift(self, seconds: float) -> None:
        """Take part in a clock that was set back: move all stored times."""
        for times in (self.first, self.last):
            times[times > 0] -= seconds

    def born(self, rows: Rows, ts: Column) -> None:
        """Note when new rows were first seen; `rows` are distinct."""
        self.first[rows] = ts

    def clear(self, rows: Rows) -> None:
        """Forget rows."""
        self.sums[rows] = 0.0
        self.first[rows] = 0.0
        self.last[rows] = 0.0
        for sketch in self.sketches.values():
            sketch.clear(rows)


def prefix(rows: Rows, order: Rows, base: Matrix, added: Matrix) -> Matrix:
    """Return base[row] plus the row's additions up to and including each record, shape of `added`.

    Rows are grouped by how often they occur (to the next power of two), and each group is one
    cumulative sum that starts at the stored value: additions happen strictly in record order.
    """
    n, width = added.shape
    out = np.empty_like(added)
    if n == 0:
        return out
    sorted_rows = rows[order]
    starts = np.flatnonzero(np.concatenate(([True], sorted_rows[1:] != sorted_rows[:-1])))
    counts = np.diff(np.append(starts, n))
    single = counts == 1
    once = order[starts[single]]
    out[once] = base[rows[once]] + added[once]
    if single.all():
        return out
    octave = np.ceil(np.log2(counts)).astype(np.int64)
    for k in np.unique(octave[~single]):
        chosen = octave == k
        begin, count, length = starts[chosen], counts[chosen], 1 << int(k)
        reach = np.arange(length)
        inside = reach < count[:, None]
        record = order[np.where(inside, begin[:, None] + reach, begin[:, None])]
        block = np.empty((len(begin), length + 1, width))
        block[:, 0] = base[sorted_rows[begin]]
        block[:, 1:] = added[record]
        np.cumsum(block, axis=1, out=block)
        out[record[inside]] = block[:, 1:][inside]
    return out
