"""How accounts conduct themselves from one request to the next, alone and under each template.

What is kept per account, and per pair of account and template (a *tie*), are sums that decay with
a half-life of 24 h. They are added in the order of the records, one by one, so the numbers are
the same however the records are cut into batches.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from excise.features.batch import Batch
from excise.features.dialogues import Dialogues, Read
from excise.features.habits import Habits
from excise.features.handoffs import Handoffs
from excise.features.hashes import Hashes
from excise.features.interner import LOW_WATER, Interner, Rows
from excise.features.networks import unrelated
from excise.features.state import DAY, HALF_LIVES, TINY, Column, Matrix, grouped
from excise.features.values import Bools
from excise.model.asns import AsnTable
from excise.model.settings import Capacity

DAY_S = 86_400.0
#: a request that comes this long after the account's one before stands alone: 90 % of the pauses
#: of people in a conversation are shorter than 5 min, 99 % shorter than 20
ALONE_S = 1200.0
#: sums of an account, and of a tie
SUMS = (
    "requests",
    "output",
    "input",
    "answers",  # requests with known output tokens
    "repeats",  # requests of an account that was seen before
    "alone",  # repeats that stand alone
    "moved",  # repeats from another address (v4 /32, v6 /64) than the request before
    "roamed",  # repeats from an unrelated network (v4 /16, v6 /32)
    "strayed",  # of those that stand alone, from an unrelated network
    "prompts",  # requests with a logged prompt
    "begins",  # of those, beginnings of a conversation
    "taken_over",  # of those, continuations of another account's conversation
    "soft",  # answers with the log-probabilities of several alternatives for each token
    "log_output",
    "log_output_sq",
    "log_input",
    "log_input_sq",
)
AT = {name: i for i, name in enumerate(SUMS)}


class Ties:
    """Account and template: a bounded table of pairs. Row 0 is nobody's."""

    def __init__(self, capacity: int) -> None:
        self.names: Interner[tuple[int, int]] = Interner(capacity, (0, 0))
        size = self.names.capacity + 1
        self.account: Rows = np.zeros(size, dtype=np.int64)
        self.template: Hashes = np.zeros(size, dtype=np.int64)
        self.sums: Matrix = np.zeros((size, len(SUMS)))
        self.last: Column = np.zeros(size)

    def live(self) -> Rows:
        """Return the rows in use."""
        rows: Rows = np.flatnonzero(self.account[: len(self.names.keys)])
        return rows

    def one(self, account: int, template: int) -> int:
        """Return the row of a tie, forgetting others if there is no room for a new one."""
        row, fresh = self.names.one((account, template))
        if row is None:
            self._make_room()
            return self.one(account, template)
        if fresh:
            self.account[row], self.template[row] = account, template
        return row

    def _make_room(self) -> None:
        """Forget the ties with the fewest requests, the idlest first."""
        live = self.live()
        surplus = len(live) - int(self.names.capacity * LOW_WATER)
        requests = self.sums[live, AT["requests"]]
        order = np.lexsort((self.last[live], requests))
        self.forget(live[order[: max(1, surplus)]])

    def forget(self, rows: Rows) -> None:
        """Forget ties."""
        self.names.forget(rows.tolist())
        self.account[rows] = self.template[rows] = 0
        self.sums[rows] = self.last[rows] = 0.0


class Conduct:
    """Owns the sums of accounts and ties, the organisations, conversations, and habits."""

    def __init__(self, capacity: Capacity) -> None:
        rows = max(16, capacity.accounts) + 1
        self.sums: Matrix = np.zeros((rows, len(SUMS)))
        self.last: Column = np.zeros(rows)
        self.place: NDArray[np.uint64] = np.zeros(rows, dtype=np.uint64)
        self.org: Rows = np.zeros(rows, dtype=np.int64)
        self.orgs: Interner[str] = Interner(capacity.accounts, "")
        self.ties = Ties(capacity.ties)
        self.handoffs = Handoffs(capacity.ties // 4)
        self.dialogues = Dialogues(capacity.dialogues)
        self.habits = Habits(capacity)

    def absorb(
        self,
        batch: Batch,
        at: slice,
        account: Rows,
        place: NDArray[np.uint64],
        ts: Column,
        *,
        weight: Column,
        asns: AsnTable | None = None,
    ) -> Read:
        """Make the records of a piece part of the state; `asns` tells networks apart."""
        self._note_orgs(account, batch.org[at])
        read = self.dialogues.read(batch.prompt[at], account)
        good = np.flatnonzero((account > 0) & (batch.sums[at, 4] == 0) & (batch.output[at] > 0))
        if not len(good):
            return read
        account, place, ts = account[good], place[good], ts[good]
        repeats, alone, moved, roamed = self._steps(account, place, ts, asns)
        self.handoffs.absorb(account, read.giver[good], weight[good], ts)
        sums = batch.sums[at][good]
        logs = (batch.log_output[at][good], batch.log_input[at][good])
        columns = (
            np.ones(len(good)),
            batch.output[at][good],
            sums[:, 1],
            batch.llm[at][good],
            repeats,
            alone,
            moved,
            roamed,
            alone & roamed,
            read.known[good],
            read.begins[good],
            read.taken_over[good],
            batch.soft[at][good],
            logs[0],
            logs[0] * logs[0],
            logs[1],
            logs[1] * logs[1],
        )
        added: Matrix = np.stack([c.astype(np.float64) for c in columns]) * weight[good]
        for column, values in enumerate(added):
            np.add.at(self.sums[:, column], account, values)
        for templates in (read.template[good], read.shared[good]):
            logged = np.flatnonzero(templates)
            self._tie(account[logged], templates[logged], added[:, logged], ts[logged])
        return read

    def _steps(
        self, account: Rows, place: NDArray[np.uint64], ts: Column, asns: AsnTable | None
    ) -> tuple[Column, Bools, Bools, Bools]:
        """Compare each record with its account's one before; remember the newest of each."""
        groups = grouped(account, None)
        order = groups.order
        before, left = np.empty(len(ts)), np.empty(len(ts), dtype=np.uint64)
        before[1:], left[1:] = ts[order][:-1], place[order][:-1]
        heads = groups.rows[groups.starts]
        before[groups.starts], left[groups.starts] = self.last[heads], self.place[heads]
        seen = np.empty(len(ts), dtype=bool)
        alone, moved, roamed = (np.empty_like(seen) for _ in range(3))
        known = before > 0
        seen[order] = known
        alone[order] = known & (ts[order] - before > ALONE_S)
        moved[order] = known & (place[order] != left)
        roamed[order] = known & unrelated(place[order], left, asns)
        self.last[account], self.place[account] = ts, place  # numpy assigns in order
        return seen.astype(np.float64), alone, moved, roamed

    def _tie(self, account: Rows, template: Hashes, added: Matrix, ts: Column) -> None:
        pairs = zip(account.tolist(), template.tolist(), strict=True)
        # One at a time: a full table forgets at the very record that needs a row.
        find, one = self.ties.names.rows.get, self.ties.one
        begin = 0
        rows: list[int] = []
        for pair in pairs:
            row = find(pair)
            if row is None:
                if self.ties.names.full:
                    self._add(rows, added[:, begin : begin + len(rows)], ts, begin)
                    begin, rows = begin + len(rows), []
                row = one(*pair)
            rows.append(row)
        self._add(rows, added[:, begin : begin + len(rows)], ts, begin)

    def _add(self, rows: list[int], added: Matrix, ts: Column, begin: int) -> None:
        at = np.array(rows, dtype=np.int64)
        for column, values in enumerate(added):
            np.add.at(self.ties.sums[:, column], at, values)
        self.ties.last[at] = ts[begin : begin + len(rows)]

    def _note_orgs(self, account: Rows, orgs: list[str]) -> None:
        if not any(orgs):
            return
        for i in np.flatnonzero((self.org[account] == 0) & (account > 0)).tolist():
            if orgs[i]:
                row, _ = self.orgs.one(orgs[i])
                self.org[account[i]] = row or 0

    def principals(self, account: Rows) -> Rows:
        """Return who is behind accounts: the organisation, or the account itself, negative."""
        org = self.org[account]
        behind: Rows = np.where(org > 0, org, -account)
        return behind

    # Housekeeping

    def rescale(self, seconds: float, accounts: int) -> None:
        """Move the landmark forward; so many account rows are in use."""
        ties = len(self.ties.names.keys)
        self.handoffs.rescale(seconds)
        self.habits.rescale(seconds, accounts)
        for live in (self.sums[:accounts], self.ties.sums[:ties]):
            np.multiply(live, 2.0 ** (-seconds / HALF_LIVES[DAY]), out=live)
            live[live < TINY] = 0.0

    def shift(self, seconds: float) -> None:
        """Follow a clock that was set back."""
        self.handoffs.shift(seconds)
        self.habits.shift(seconds)
        for last in (self.last, self.ties.last):
            last[last > 0] -= seconds

    def forget(self, accounts: Rows) -> None:
        """Forget accounts and their ties."""
        self.sums[accounts] = self.last[accounts] = 0.0
        self.place[accounts] = 0
        self.org[accounts] = 0
        self.handoffs.forget(accounts)
        self.habits.forget(accounts)
        self.ties.forget(np.flatnonzero(np.isin(self.ties.account, accounts)))

    def dump(self, accounts: int) -> dict[str, NDArray[np.generic]]:
        """Return the state as arrays; so many account rows are in use."""
        ties, used = self.ties, len(self.ties.names.keys)
        return {
            "conduct.sums": self.sums[:accounts],
            "conduct.last": self.last[:accounts],
            "conduct.place": self.place[:accounts],
            "conduct.org": self.org[:accounts],
            "ties.account": ties.account[:used],
            "ties.template": ties.template[:used],
            "ties.sums": ties.sums[:used],
            "ties.last": ties.last[:used],
            "dialogues.wholes": self.dialogues.wholes.dump(),
            "dialogues.beginnings": self.dialogues.beginnings.dump(),
        } | (self.handoffs.dump() | self.habits.dump(accounts))

    def load(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Load what `dump` returned."""
        for name, column in (
            ("conduct.sums", self.sums),
            ("conduct.last", self.last),
            ("conduct.place", self.place),
            ("conduct.org", self.org),
            ("ties.account", self.ties.account),
            ("ties.template", self.ties.template),
            ("ties.sums", self.ties.sums),
            ("ties.last", self.ties.last),
        ):
            column[: len(arrays[name])] = arrays[name]
        used = len(arrays["ties.account"])
        ties = self.ties
        pairs = zip(ties.account[:used].tolist(), ties.template[:used].tolist(), strict=True)
        keys: list[tuple[int, int] | None] = [pair if pair[0] else None for pair in pairs]
        self.ties.names.load([(0, 0), *keys[1:]])
        self.handoffs.load(arrays)
        self.habits.load(arrays)
        self.dialogues.wholes.load(arrays["dialogues.wholes"].astype(np.int64))
        self.dialogues.beginnings.load(arrays["dialogues.beginnings"].astype(np.int64))
