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

from excise.features.handshakes import Handshakes, Whole
from excise.features.interner import Rows
from excise.features.sketch import BITS, HOURS, Elements, Sketch, estimate
from excise.features.table import DISTINCT, HALF_LIVES_S, LEDGER_S, QUANTITIES
from excise.model.entity import Kind

Matrix = NDArray[np.float64]
Column = NDArray[np.float64]
HALF_LIVES = np.array([*HALF_LIVES_S.values(), LEDGER_S])
DAY, LEDGER = 2, 3
#: shared columns: quantity-major, half-lives 1 min, 1 h, 24 h
SUMS = tuple(f"{q}_{h}" for q in QUANTITIES for h in HALF_LIVES_S)
#: further shared columns, with the half-life (index into HALF_LIVES) each decays by
EXTRA = {
    "plaintext_1h": 1,
    "direct_24h": 2,
    "unbelieved_1h": 1,
    "llm_requests_24h": 2,
    "log_input": 2,
    "log_output": 2,
    "log_output_sq": 2,
    "swept_24h": 2,
    "output_tokens_30d": LEDGER,
}
SHARED = (*SUMS, *EXTRA)
GAPS = {"gaps_1h": 1, "log_gap": 1, "log_gap_sq": 1}
#: half-life by column; -1: does not decay
DECAY = np.array([*([0, 1, 2] * len(QUANTITIES)), *EXTRA.values()])
#: columns of the widest table
WIDTH = len(SHARED) + len(GAPS) + 1 + max(map(len, DISTINCT.values()))
#: rows with more records than others that are summed up one by one
FEW = 24
TINY = 1e-250  # below this a decayed sum is nothing; keeps denormals out of the arithmetic


@dataclass(frozen=True, slots=True)
class Moment:
    """One piece's table numbers per record: the row, sums after the record, and the gap before it.

    `sums` has a column per `Table.columns`; `age_s` and `idle_s` are seconds. `handshakes` are what
    is known of them after the record, None where no record of the piece tells any.
    """

    rows: Rows
    sums: Matrix
    age_s: Column
    idle_s: Column
    handshakes: Whole | None = None


@dataclass(frozen=True, slots=True)
class Added:
    """What the records of a piece bring, the same for every kind.

    `weights` (n, 4) are 2^((ts - L) / h); `columns` (n, at least as wide as any table) starts with
    the columns of `SHARED`, already weighted; `elements` gives what each distinct count saw.
    `handshakes`: see `timed`.
    """

    ts: Column
    weights: Matrix
    columns: Matrix
    elements: dict[str, Elements]
    handshakes: Whole | None = None


@dataclass(frozen=True, slots=True)
class Groups:
    """Records sorted by row, in their own order within a row.

    `order` leads from the sorted to the record, `source` to its place in `Added`; `starts` are
    where the rows, here sorted, change.
    """

    order: Rows
    source: Rows
    rows: Rows
    starts: Rows


def grouped(rows: Rows, source: Rows | None) -> Groups:
    """Sort records by row, fewer than 2^20 of them; `source`: their places in `Added`, if not 0…n.

    One plain sort of row and position together takes a third of the time of a stable argsort.
    """
    keys = rows << 20 | np.arange(len(rows))
    keys.sort()
    order, by_row = keys & 0xFFFFF, keys >> 20
    starts = np.flatnonzero(np.concatenate(([True], by_row[1:] != by_row[:-1])))
    return Groups(order, order if source is None else source[order], by_row, starts)


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
        self.handshakes = Handshakes(capacity) if kind is Kind.CLIENT else None

    def moment(self, rows: Rows, numbers: Added, source: Rows | None = None) -> Moment:
        """Work out a piece without committing it (sketches are marked at once).

        `source`: the places in `numbers` that the rows stem from, if not one after another.
        """
        groups = grouped(rows, source)
        ts = numbers.ts[groups.source]
        idle = self._idle(groups, ts)
        added = self._added(groups, numbers, idle)
        prefix(groups, self.sums, added)
        sums, idle_s, age_s = np.empty_like(added), np.empty_like(idle), np.empty_like(idle)
        sums[groups.order] = added
        idle_s[groups.order] = np.maximum(idle, 0.0)
        age_s[groups.order] = np.maximum(ts - self.first[groups.rows], 0.0)
        return Moment(rows, sums, age_s, idle_s, self._handshakes(groups, numbers))

    def distinct_of(self, column: str, rows: Rows) -> Column:
        """Return a distinct count of rows as it stands, of the last 12 to 24 h."""
        return estimate(self.sums[rows, self.index[column]])

    def _handshakes(self, groups: Groups, numbers: Added) -> Whole | None:
        """Take in handshakes (at once, as sketches are marked); return what is known then."""
        if self.handshakes is None or numbers.handshakes is None:
            return None
        times = numbers.handshakes[groups.source]
        known = np.empty((len(times), 3), dtype=np.int64)
        known[groups.order] = self.handshakes.see(groups.rows, groups.starts, times)
        return known

    def absorb(self, rows: Rows, numbers: Added) -> None:
        """Make a piece part of the state at once, where nobody asks for its single records."""
        groups = grouped(rows, None)
        ts = numbers.ts[groups.source]
        added = self._added(groups, numbers, self._idle(groups, ts))
        heads = groups.rows[groups.starts]
        self.sums[heads] += np.add.reduceat(added, groups.starts, axis=0)
        self.last[heads] = ts[np.append(groups.starts[1:], len(ts)) - 1]

    def _added(self, groups: Groups, numbers: Added, idle: Column) -> Matrix:
        """Return what every record adds to its row, shape (n, len(columns)), as grouped."""
        width, k = len(self.columns), len(SHARED)
        added: Matrix = numbers.columns[:, :width][groups.source]
        known = idle >= 0
        log_gap = np.where(known, np.log2(np.maximum(idle, 0.0) + 1e-3), 0.0)
        w = numbers.weights[:, 1][groups.source] * known
        added[:, k], added[:, k + 1], added[:, k + 2] = w, w * log_gap, w * log_gap * log_gap
        added[:, k + 3] = 1.0
        for j, name in enumerate(self.distinct):
            elements = numbers.elements[name].take(groups.source)
            added[:, k + 4 + j] = self.sketches[name].mark(groups.rows, elements)
        return added

    def _idle(self, groups: Groups, ts: Column) -> Column:
        """Seconds since the row's record before, per record; -1 where there was none."""
        before = np.empty(len(ts))
        before[1:] = ts[:-1]
        last = self.last[groups.rows[groups.starts]]
        before[groups.starts] = np.where(last > 0, last, np.inf)
        gap = ts - before
        idle: Column = np.where(np.isneginf(gap), -1.0, np.maximum(gap, 0.0))
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
        if self.handshakes is not None:
            self.handshakes.turn()

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
        if self.handshakes is not None:
            self.handshakes.clear(rows)


def prefix(groups: Groups, base: Matrix, added: Matrix) -> None:
    """Turn additions, as grouped, into base[row] plus the row's additions up to each record.

    In place, strictly in record order. The second records of all rows are done at once, then the
    third ones, and so on; where only a few rows have more, each is one cumulative sum.
    """
    starts = groups.starts
    added[starts] += base[groups.rows[starts]]
    counts = np.diff(np.append(starts, len(added)))
    longest = np.argsort(-counts, kind="stable")
    starts, counts = starts[longest], counts[longest]
    done = 1
    while (more := int(np.searchsorted(-counts, -done))) > FEW:
        at = starts[:more] + done
        added[at] += added[at - 1]
        done += 1
    for start, count in zip(starts[:more].tolist(), counts[:more].tolist(), strict=True):
        rest = added[start + done - 1 : start + count]
        np.add.accumulate(rest, axis=0, out=rest)
