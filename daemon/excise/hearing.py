"""The hearing of a piece: where rules fire, who else is due, and the judge's turn, in record order.

Pure. What is put on the agenda is judged with the state committed up to exactly that record, and
timers that fall due in between have their turn in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from excise.decide.agenda import Agenda, Item
from excise.decide.judge import Judge
from excise.features.interner import Rows
from excise.features.population import Baselines
from excise.features.state import Column
from excise.features.values import Bools, View
from excise.features.world import Piece, World
from excise.model.entity import Kind
from excise.rules.compile import Compiled, compile_rules, fires, numbers
from excise.rules.schema import Rule, Rulebook

#: a rule's evidence on an entity is refreshed at most this often
REFIRE_S = 300.0
ORDER = (Kind.USE, Kind.ACCOUNT, Kind.CLIENT, Kind.SUBNET, Kind.STACK, Kind.TEMPLATE)
#: what an agenda's item is about, past the kinds that rules judge at a record
INHERITED, MEMBER, STRANGER = range(len(ORDER), len(ORDER) + 3)


class Hearing:
    """Owns the compiled rules, when each fired on which row, and how often in all."""

    def __init__(self, world: World, judge: Judge, baselines: Baselines) -> None:
        self._world, self._judge, self._baselines = world, judge, baselines
        self.hits: dict[str, int] = {}
        self.fired: dict[Kind, NDArray[np.float64]] = {}
        self.compiled: Compiled = compile_rules(Rulebook())

    def replace_rules(self, rulebook: Rulebook) -> None:
        """Take other rules; none of them has fired."""
        self.compiled = compile_rules(rulebook)
        self.fired = {
            kind: np.zeros((self._world.tables[kind].capacity, len(rules)))
            for kind, rules in self.compiled.by_kind.items()
            if kind in self._world.tables
        }

    def count(self, rule: Rule) -> None:
        """Note that a rule fired."""
        self.hits[rule.id] = self.hits.get(rule.id, 0) + 1

    def forget(self, kind: Kind, rows: Rows) -> None:
        """Forget what fired on rows that are others' from now on."""
        if kind in self.fired:
            self.fired[kind][rows] = 0.0

    def step_back(self, seconds: float) -> None:
        """Follow a clock that was set back."""
        for fired in self.fired.values():
            fired[fired > 0] -= seconds

    def dump(self) -> dict[str, NDArray[np.generic]]:
        """Return when each rule fired, by row, as arrays."""
        return {
            f"fired.{rule.id}": self.fired[kind][:, column] for kind, column, rule in self._tabled()
        }

    def load(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Load what `dump` returned, as far as the rules are still there."""
        for kind, column, rule in self._tabled():
            fired = arrays.get(f"fired.{rule.id}")
            if fired is not None:
                rows = min(len(fired), len(self.fired[kind]))
                self.fired[kind][:rows, column] = fired[:rows]

    def _tabled(self) -> Iterator[tuple[Kind, int, Rule]]:
        """Yield kind, column and rule of what is noted by row."""
        for kind in self.fired:
            for column, rule in enumerate(self.compiled.by_kind[kind]):
                yield kind, column, rule

    def take(self, piece: Piece) -> None:
        """Evaluate a piece, judge where rules fired, and commit it, all in record order."""
        views = {
            kind: View(
                self._world.tables[kind],
                moment,
                piece.weights[piece.subnet_at] if kind is Kind.SUBNET else piece.weights,
            )
            for kind, moment in piece.moments.items()
            if kind in self.compiled.by_kind
        }
        agenda = Agenda()
        agenda.add(self._fired_in(piece, views))
        agenda.add(self._inheriting(piece, 0, self._hot(piece)))
        agenda.add(self._of_campaigns(piece))
        agenda.add(self._strangers(piece))
        done, last = 0, len(piece) - 1
        while True:
            at = agenda.first(last)
            done = self.run_timers(float(piece.clock[at]), piece, done, agenda)
            if agenda.first(last) < at:
                continue  # a timer has put something on the agenda before that
            group = agenda.next()
            if not group:
                break
            due = self._due(piece, views, group)
            if not due:
                continue
            if done < at + 1:
                self._world.commit(piece, done, at + 1)
                done = at + 1
            self._decide(piece, views, due, agenda)
            self._watch(piece, at + 1, agenda)
        self._world.commit(piece, done, len(piece))

    def _fired_in(self, piece: Piece, views: dict[Kind, View]) -> Iterable[Item]:
        """Yield where a rule's comparisons hold and its evidence is not fresh."""
        for k, kind in enumerate(ORDER):
            view = views.get(kind)
            if view is None:
                continue
            clock = piece.clock[piece.subnet_at] if kind is Kind.SUBNET else piece.clock
            for r, rule in enumerate(self.compiled.by_kind[kind]):
                mask = fires(rule, view, self._baselines)
                if not mask.any():
                    continue
                at = np.flatnonzero(mask)
                at = thin(at, view.rows[at], clock[at], self.fired[kind][:, r], refire_s(rule))
                record = piece.subnet_at[at] if kind is Kind.SUBNET else at
                for i, j in zip(record.tolist(), at.tolist(), strict=True):
                    yield Item(i, k, r, j)

    def _hot(self, piece: Piece, at: slice = slice(None)) -> Bools:
        """Return per record whether its use, or a subnet of its client, is hot."""
        cases, world = self._judge.cases, self._world
        hot: Bools = cases.hot_use[piece.use[at]]
        if cases.hot_subnet.any():
            near, wide = world.near[piece.client[at]], world.wide[piece.client[at]]
            hot = hot | cases.hot_subnet[near] | cases.hot_subnet[wide]
        return hot

    def _inheriting(self, piece: Piece, begin: int, hot: Bools) -> Iterable[Item]:
        """Yield hot records from `begin` on whose client is not settled."""
        found = hot & (self._judge.settled[piece.client] <= piece.clock)
        for i in np.flatnonzero(found[begin:]).tolist():
            yield Item(begin + i, INHERITED, 0, begin + i)

    def _of_campaigns(self, piece: Piece) -> Iterable[Item]:
        """Yield records of enforced campaigns whose account or client is not settled."""
        judge = self._judge
        found = judge.crowd.members_in(piece)
        if found.any():
            heard = (judge.crowd.told[piece.account] > piece.clock) & (
                judge.settled[piece.client] > piece.clock
            )
            for i in np.flatnonzero(found & ~heard).tolist():
                yield Item(i, MEMBER, 0, i)

    def _watch(self, piece: Piece, begin: int, agenda: Agenda) -> None:
        """Put on the agenda who comes by clients that have been throttled for others just now."""
        if self._judge.watch.fresh:
            new = np.isin(piece.client[begin:], list(self._judge.watch.fresh))
            self._judge.watch.fresh.clear()
            found = np.flatnonzero(
                new & self._judge.watch.strangers(piece, slice(begin, len(piece)))
            )
            agenda.add(Item(begin + i, STRANGER, 0, begin + i) for i in found.tolist())

    def _strangers(self, piece: Piece) -> Iterable[Item]:
        """Yield records that speak for a client throttled for others."""
        self._judge.watch.fresh.clear()
        for i in np.flatnonzero(self._judge.watch.strangers(piece)).tolist():
            yield Item(i, STRANGER, 0, i)

    def _due(self, piece: Piece, views: dict[Kind, View], group: list[Item]) -> list[Item]:
        """Return the items of a record that were not dealt with a moment before."""
        at = group[0].record
        now, client = float(piece.clock[at]), piece.client[at]
        due = []
        for item in group:
            if item.kind == MEMBER:
                settled = self._judge.crowd.told[piece.account[at]], self._judge.settled[client]
                fresh = min(settled) <= now
            elif item.kind == STRANGER:
                fresh = bool(self._judge.watch.strangers(piece, slice(at, at + 1))[0])
            elif item.kind == INHERITED:
                hot = self._hot(piece, slice(at, at + 1))
                fresh = bool(hot[0]) and self._judge.settled[client] <= now
            else:
                kind = ORDER[item.kind]
                rule = self.compiled.by_kind[kind][item.rule]
                fired = self.fired[kind][views[kind].rows[item.place], item.rule]
                fresh = now >= fired + refire_s(rule)
            if fresh:
                due.append(item)
        return due

    def _decide(
        self, piece: Piece, views: dict[Kind, View], due: list[Item], agenda: Agenda
    ) -> None:
        """Judge what fired at one record."""
        at = due[0].record
        now = float(piece.clock[at])
        touched: dict[tuple[Kind, int], None] = {}
        for item in due:
            if item.kind == MEMBER:
                templates = int(piece.read.shared[at]), int(piece.read.template[at])
                self._judge.fleets.meet(
                    int(piece.account[at]), int(piece.client[at]), templates, now
                )
                continue
            if item.kind == STRANGER:
                self._judge.reconsider(int(piece.client[at]), now)
                continue
            if item.kind == INHERITED:
                touched[Kind.CLIENT, int(piece.client[at])] = None
                continue
            kind = ORDER[item.kind]
            rule, row = self.compiled.by_kind[kind][item.rule], int(views[kind].rows[item.place])
            self._refire(kind, row, item.rule, rule, now)
            seen = numbers(rule, views[kind], self._baselines, item.place)
            if self._judge.hit(kind, row, rule, now, seen):
                touched[kind, row] = None
        for kind, row in touched:
            before = self._judge.hot(kind, row)
            self._judge.assess(kind, row, now)
            if self._judge.hot(kind, row) and not before:
                agenda.add(self._inheriting(piece, at + 1, self._hot(piece)))

    def _refire(self, kind: Kind, row: int, column: int, rule: Rule, now: float) -> None:
        """Note that a rule fires now."""
        self.fired[kind][row, column] = now
        self.count(rule)

    def run_timers(
        self,
        until: float,
        piece: Piece | None = None,
        done: int = 0,
        agenda: Agenda | None = None,
    ) -> int:
        """Run timers due by `until`, each with the state committed up to its moment."""
        while self._judge.docket.next_timer() <= until:
            if piece is not None:
                upto = int(np.searchsorted(piece.clock, self._judge.docket.next_timer()))
                if upto > done:
                    self._world.commit(piece, done, upto)
                    done = upto
            self._judge.run_timer()
            if piece is not None and agenda is not None and self._judge.watch.fresh:
                self._watch(piece, done, agenda)
                until = min(until, float(piece.clock[agenda.first(len(piece) - 1)]))
        return done


def thin(at: Rows, rows: Rows, clock: Column, fired: Column, refire: float) -> Rows:
    """Keep of the places where a rule holds those where its evidence is due for a refresh.

    Per row: the first place at least `refire` seconds after the row last fired, and so on from
    there. Shapes (n,), `fired` by row.
    """
    due = clock >= fired[rows] + refire
    if not due.any():
        return at[:0]
    order = np.argsort(rows[due], kind="stable")
    at, rows, clock = at[due][order], rows[due][order], clock[due][order]
    starts = np.flatnonzero(np.concatenate(([True], rows[1:] != rows[:-1])))
    kept: list[int] = []
    for begin, end in zip(starts.tolist(), [*starts[1:].tolist(), len(rows)], strict=True):
        i = begin
        while i < end:
            kept.append(i)
            i = begin + int(np.searchsorted(clock[begin:end], clock[i] + refire))
    return at[kept]


def refire_s(rule: Rule) -> float:
    """Return how often a rule's evidence on an entity is refreshed at most."""
    return min(REFIRE_S, rule.half_life_s / 16)
