"""The engine: batches in, effects out. Pure: no I/O, no clock.

The same records give the same decisions however they are cut into batches.

How that is kept: features depend on the records alone and are exact after every record
(`features.state.prefix`); everything that reads across entities (collateral, prefixes, quantiles)
happens at a record where a rule fired, at a timer, or on a grid of event time, with the state
committed up to exactly there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from excise.campaigns.groups import find
from excise.campaigns.measure import measure
from excise.decide.agenda import Agenda, Item
from excise.decide.explain import explain
from excise.decide.judge import Judge
from excise.decide.memory import (
    dump_times,
    dump_world,
    load_times,
    load_world,
    notes,
    pack,
    recall,
    unpack,
)
from excise.decide.operate import Operator
from excise.decide.show import scored
from excise.decide.tell import campaign, campaigns
from excise.features.batch import Batch, columns
from excise.features.clock import EventClock
from excise.features.interner import Rows
from excise.features.population import REFRESH_S, Baselines, Wish
from excise.features.state import Column
from excise.features.values import Bools, View
from excise.features.world import ALWAYS_EXACT, Piece, Span, World
from excise.model.decision import Decision, Posture
from excise.model.entity import TABLED, Kind
from excise.model.record import Record
from excise.model.settings import Settings
from excise.model.step import Alarm, Effect, Input, Observed, Tick
from excise.model.view import (
    AllowView,
    CampaignDetail,
    CampaignSummary,
    EngineStatus,
    Explanation,
    RuleView,
    ScoredView,
    TableView,
)
from excise.rules.compile import Compiled, compile_rules, fires, numbers
from excise.rules.schema import Rule, Rulebook

#: records worked on in one pass: the fixed cost of a pass is spread, the arrays stay in cache
PIECE = 8_192
#: a rule's evidence on an entity is refreshed at most this often
REFIRE_S = 300.0
#: grid of event time on which quantiles, landmark and generations move
GRID_S = REFRESH_S
ORDER = (Kind.USE, Kind.ACCOUNT, Kind.CLIENT, Kind.SUBNET, Kind.STACK, Kind.TEMPLATE)
#: what an agenda's item is about, past the kinds that rules judge at a record
INHERITED, MEMBER, STRANGER = range(len(ORDER), len(ORDER) + 3)


class Engine:
    """Owns all state of the core. Synchronous and single-owner: needs no locks."""

    def __init__(self, settings: Settings, rulebook: Rulebook) -> None:
        self.settings = settings
        self.rulebook = rulebook
        self.world = World(settings.capacity, self._held, self._forgotten)
        self.world.directory.asns = settings.asns
        self.judge = Judge(settings, self.world)
        self.baselines = Baselines()
        self._operator = Operator(self.judge)
        self._clock = EventClock(settings.late_tolerance_s, settings.jump_tolerance_s)
        self._records = 0
        self._grid = self._cell = self._pass = 0.0
        self._hits: dict[str, int] = {}
        self._compiled: Compiled
        self._fired: dict[Kind, np.ndarray] = {}
        self.replace_rules(rulebook)

    @property
    def clock(self) -> float:
        """Event time: epoch seconds of the newest record or tick, 0.0 before the first."""
        return self._clock.now

    @property
    def posture(self) -> Posture:
        """The posture asked for (a tripped governor may hold it at observe; see `status`)."""
        return self.judge.docket.posture

    # Steps

    def step(self, inputs: Iterable[Input], now: float | None = None) -> list[Effect]:
        """Take inputs in order; return what changed, in event order.

        `now` is the engine time a `Tick` stands for (event time, epoch seconds). Raises
        RefusedError, NotFoundError or InvalidError for an operator's input that cannot be done;
        nothing has then changed.
        """
        for one in inputs:
            if isinstance(one, Observed):
                self._observe(one.records)
            elif isinstance(one, Tick):
                self._tick(self.clock if now is None else now)
            else:
                if now is not None and self.clock == 0.0:
                    self._tick(now)
                self._operator.act(one, self.clock if now is None else max(now, self.clock))
        return self.judge.docket.drain()

    def _tick(self, now: float) -> None:
        """Let time pass without a record."""
        if now <= self._clock.now:
            return
        self._run_timers(now, None, 0)
        self._clock.now = now

    def _observe(self, records: Sequence[Record]) -> None:
        if not records:
            return
        batch = columns(records)
        begin = 0
        while begin < len(batch):
            jumps = self._clock.jumps
            stamped = self._clock.stamp(batch.ts[begin:])
            end = begin + stamped.taken
            # Stamps are of the rest of the batch; a span wants them for the whole.
            ts, clock = (np.concatenate((np.zeros(begin), s)) for s in (stamped.ts, stamped.clock))
            # A set-back ends the run at the record that proved it: that one counts afterwards.
            back_s = stamped.stepped_back_s
            last = end - 1 if back_s else end
            self._run(batch, Span(ts, clock, begin, last))
            if self._clock.jumps > jumps:
                self._jumped()
            if back_s:
                self._step_back(back_s)
                self._run(batch, Span(ts, clock, last, end))
            begin = end
        self._records += len(batch)

    def _run(self, batch: Batch, span: Span) -> None:
        """Run the records of a span, in pieces that do not cross the grid."""
        at = span.begin
        while at < span.end:
            now = float(span.clock[at])
            if now >= self._grid:
                self._run_timers(now, None, 0)
                self._advance(now)
            upto = at + int(np.searchsorted(span.clock[at : span.end], self._grid))
            part = Span(span.ts, span.clock, at, min(upto, at + PIECE))
            piece = self.world.take(batch, part)
            if piece is not None:
                self._work(piece)
                at += len(piece)

    def _advance(self, now: float) -> None:
        """Cross into a new cell of one of the grids, or both."""
        if self._grid == 0.0:
            self.world.start(now)
        if now >= self._cell:
            if self._cell:
                self.world.advance(now)
                suspects = self.judge.suspects()
                self.baselines.refresh(self.world.tables, now, self.world.landmark, suspects)
                self.judge.sweep(now)
                self.judge.docket.review_peers(now)
            self._cell = now // GRID_S * GRID_S + GRID_S
        if now >= self._pass:
            if self._pass:
                self._link(now)
            self._pass = self._next_pass(now)
        self._grid = min(self._cell, self._pass)

    def _next_pass(self, now: float) -> float:
        every = self.settings.policy.campaign_pass_s
        return now // every * every + every

    def _link(self, now: float) -> None:
        """Find campaigns, file what their rules see, and judge them."""
        rules = self._compiled.by_kind.get(Kind.CAMPAIGN, ())
        if not rules:
            return
        groups = find(self.world, now)
        register = self.judge.crowd.register
        measured = measure(self.world, groups, register.match(groups, now), now)
        for g, number in enumerate(measured.rows.tolist()):
            register.campaigns[number].numbers = measured.at(g)
        for rule in rules:
            for g in np.flatnonzero(fires(rule, measured, self.baselines)).tolist():
                self._hits[rule.id] = self._hits.get(rule.id, 0) + 1
                seen = numbers(rule, measured, self.baselines, g)
                self.judge.hit(Kind.CAMPAIGN, int(measured.rows[g]), rule, now, seen)
        self.judge.fleets.review(now)

    def _work(self, piece: Piece) -> None:
        """Evaluate a piece, judge where rules fired, and commit it, all in record order."""
        views = {
            kind: View(
                self.world.tables[kind],
                moment,
                piece.weights[piece.subnet_at] if kind is Kind.SUBNET else piece.weights,
            )
            for kind, moment in piece.moments.items()
            if kind in self._compiled.by_kind
        }
        agenda = Agenda()
        agenda.add(self._fired_in(piece, views))
        agenda.add(self._inheriting(piece, 0, self._hot(piece)))
        agenda.add(self._of_campaigns(piece))
        agenda.add(self._strangers(piece))
        done, last = 0, len(piece) - 1
        while True:
            at = agenda.first(last)
            done = self._run_timers(float(piece.clock[at]), piece, done, agenda)
            if agenda.first(last) < at:
                continue  # a timer has put something on the agenda before that
            group = agenda.next()
            if not group:
                break
            due = self._due(piece, views, group)
            if not due:
                continue
            if done < at + 1:
                self.world.commit(piece, done, at + 1)
                done = at + 1
            self._judge(piece, views, due, agenda)
            self._watch(piece, at + 1, agenda)
        self.world.commit(piece, done, len(piece))

    def _fired_in(self, piece: Piece, views: dict[Kind, View]) -> Iterable[Item]:
        """Yield where a rule's comparisons hold and its evidence is not fresh."""
        for k, kind in enumerate(ORDER):
            view = views.get(kind)
            if view is None:
                continue
            clock = piece.clock[piece.subnet_at] if kind is Kind.SUBNET else piece.clock
            for r, rule in enumerate(self._compiled.by_kind[kind]):
                mask = fires(rule, view, self.baselines)
                if not mask.any():
                    continue
                at = np.flatnonzero(mask)
                at = thin(at, view.rows[at], clock[at], self._fired[kind][:, r], refire_s(rule))
                record = piece.subnet_at[at] if kind is Kind.SUBNET else at
                for i, j in zip(record.tolist(), at.tolist(), strict=True):
                    yield Item(i, k, r, j)

    def _hot(self, piece: Piece, at: slice = slice(None)) -> Bools:
        """Return per record whether its use, or a subnet of its client, is hot."""
        cases, world = self.judge.cases, self.world
        hot: Bools = cases.hot_use[piece.use[at]]
        if cases.hot_subnet.any():
            near, wide = world.near[piece.client[at]], world.wide[piece.client[at]]
            hot = hot | cases.hot_subnet[near] | cases.hot_subnet[wide]
        return hot

    def _inheriting(self, piece: Piece, begin: int, hot: Bools) -> Iterable[Item]:
        """Yield hot records from `begin` on whose client is not settled."""
        found = hot & (self.judge.settled[piece.client] <= piece.clock)
        for i in np.flatnonzero(found[begin:]).tolist():
            yield Item(begin + i, INHERITED, 0, begin + i)

    def _of_campaigns(self, piece: Piece) -> Iterable[Item]:
        """Yield records of enforced campaigns whose account or client is not settled."""
        judge = self.judge
        found = judge.crowd.members_in(piece)
        if found.any():
            heard = (judge.crowd.told[piece.account] > piece.clock) & (
                judge.settled[piece.client] > piece.clock
            )
            for i in np.flatnonzero(found & ~heard).tolist():
                yield Item(i, MEMBER, 0, i)

    def _watch(self, piece: Piece, begin: int, agenda: Agenda) -> None:
        """Put on the agenda who comes by clients that have been throttled for others just now."""
        if self.judge.watch.fresh:
            new = np.isin(piece.client[begin:], list(self.judge.watch.fresh))
            self.judge.watch.fresh.clear()
            found = np.flatnonzero(
                new & self.judge.watch.strangers(piece, slice(begin, len(piece)))
            )
            agenda.add(Item(begin + i, STRANGER, 0, begin + i) for i in found.tolist())

    def _strangers(self, piece: Piece) -> Iterable[Item]:
        """Yield records that speak for a client throttled for others."""
        self.judge.watch.fresh.clear()
        for i in np.flatnonzero(self.judge.watch.strangers(piece)).tolist():
            yield Item(i, STRANGER, 0, i)

    def _due(self, piece: Piece, views: dict[Kind, View], group: list[Item]) -> list[Item]:
        """Return the items of a record that were not dealt with a moment before."""
        at = group[0].record
        now, client = float(piece.clock[at]), piece.client[at]
        due = []
        for item in group:
            if item.kind == MEMBER:
                settled = self.judge.crowd.told[piece.account[at]], self.judge.settled[client]
                fresh = min(settled) <= now
            elif item.kind == STRANGER:
                fresh = bool(self.judge.watch.strangers(piece, slice(at, at + 1))[0])
            elif item.kind == INHERITED:
                hot = self._hot(piece, slice(at, at + 1))
                fresh = bool(hot[0]) and self.judge.settled[client] <= now
            else:
                kind = ORDER[item.kind]
                rule = self._compiled.by_kind[kind][item.rule]
                fired = self._fired[kind][views[kind].rows[item.place], item.rule]
                fresh = now >= fired + refire_s(rule)
            if fresh:
                due.append(item)
        return due

    def _judge(
        self, piece: Piece, views: dict[Kind, View], due: list[Item], agenda: Agenda
    ) -> None:
        """Judge what fired at one record."""
        at = due[0].record
        now = float(piece.clock[at])
        touched: dict[tuple[Kind, int], None] = {}
        for item in due:
            if item.kind == MEMBER:
                templates = int(piece.read.shared[at]), int(piece.read.template[at])
                self.judge.fleets.meet(
                    int(piece.account[at]), int(piece.client[at]), templates, now
                )
                continue
            if item.kind == STRANGER:
                self.judge.reconsider(int(piece.client[at]), now)
                continue
            if item.kind == INHERITED:
                touched[Kind.CLIENT, int(piece.client[at])] = None
                continue
            kind = ORDER[item.kind]
            rule, row = self._compiled.by_kind[kind][item.rule], int(views[kind].rows[item.place])
            self._refire(kind, row, item.rule, rule, now)
            seen = numbers(rule, views[kind], self.baselines, item.place)
            if self.judge.hit(kind, row, rule, now, seen):
                touched[kind, row] = None
        for kind, row in touched:
            before = self.judge.hot(kind, row)
            self.judge.assess(kind, row, now)
            if self.judge.hot(kind, row) and not before:
                agenda.add(self._inheriting(piece, at + 1, self._hot(piece)))

    def _refire(self, kind: Kind, row: int, column: int, rule: Rule, now: float) -> None:
        """Note that a rule fires now."""
        self._fired[kind][row, column] = now
        self._hits[rule.id] = self._hits.get(rule.id, 0) + 1

    def _run_timers(
        self, until: float, piece: Piece | None, done: int, agenda: Agenda | None = None
    ) -> int:
        """Run timers due by `until`, each with the state committed up to its moment."""
        while self.judge.docket.next_timer() <= until:
            if piece is not None:
                upto = int(np.searchsorted(piece.clock, self.judge.docket.next_timer()))
                if upto > done:
                    self.world.commit(piece, done, upto)
                    done = upto
            self.judge.run_timer()
            if piece is not None and agenda is not None and self.judge.watch.fresh:
                self._watch(piece, done, agenda)
                until = min(until, float(piece.clock[agenda.first(len(piece) - 1)]))
        return done

    def _jumped(self) -> None:
        text = "several lines agree on another time; the event clock followed them"
        self.judge.docket.emit(Alarm(self.clock, "clock-jumped", text))

    def _step_back(self, seconds: float) -> None:
        self.world.step_back(seconds)
        self.judge.step_back(seconds)
        for fired in self._fired.values():
            fired[fired > 0] -= seconds
        self._grid, self._cell, self._pass = (
            t - seconds for t in (self._grid, self._cell, self._pass)
        )

    def _held(self, kind: Kind) -> Rows:
        return self.judge.held(kind)

    def _forgotten(self, kind: Kind, rows: np.ndarray) -> None:
        self.judge.forget_rows(kind, rows)
        if kind in self._fired:
            self._fired[kind][rows] = 0.0

    # Rules

    def replace_rules(self, rulebook: Rulebook) -> None:
        """Swap the rules atomically; evidence of rules that remain is kept."""
        self.rulebook = rulebook
        self._compiled = compile_rules(rulebook)
        self.baselines.wishes = self._compiled.wishes
        self.world.exact = ALWAYS_EXACT | self._compiled.by_kind.keys()
        self._fired = {
            kind: np.zeros((self.world.tables[kind].capacity, len(rules)))
            for kind, rules in self._compiled.by_kind.items()
            if kind in self.world.tables
        }
        self.judge.cases.keep_rules({rule.id: rule for rule in rulebook.rules})

    def configure(self, settings: Settings) -> None:
        """Take over the settings that may change while running: all but `capacity`."""
        self.settings = settings
        self.world.directory.asns = settings.asns
        self.judge.configure(settings)
        self.judge.docket.review_peers(self.clock)
        if self._pass:
            self._pass = self._next_pass(self.clock)
            self._grid = min(self._cell, self._pass)

    def set_baseline(self, kind: Kind, values: dict[str, float]) -> None:
        """Pin the quantile of features of a kind, as if the host's population had it."""
        self.baselines.pinned |= {(kind, name): value for name, value in values.items()}

    # Views

    def decisions(self) -> list[Decision]:
        """Return all active decisions, by plane and target."""
        return [d for _, d in sorted(self.judge.docket.book.active.items())]

    def adopt(self, decisions: Iterable[Decision], strikes: dict[tuple[str, str], int]) -> None:
        """Take over stored decisions after a restart (and earlier strikes by (plane, target))."""
        self.judge.adopt(decisions, strikes, self.clock)

    def status(self) -> EngineStatus:
        """Return the core at a glance."""
        judge = self.judge
        links = self.world.links.size()
        return EngineStatus(
            clock=self.clock,
            posture=judge.docket.posture.value,
            effective_posture=judge.docket.effective.value,
            tripped=judge.docket.brake.tripped,
            peers_doubted=judge.docket.doubt,
            records=self._records,
            late=self._clock.late,
            clock_jumps=self._clock.jumps,
            entities_with_evidence=sum(map(len, judge.cases.dossiers.values())),
            active_decisions=len(judge.docket.book.active),
            enforcing_decisions=sum(d.enforcing for d in judge.docket.book.active.values()),
            campaigns=len(judge.crowd.register.campaigns),
            enforced_campaigns=sum(
                c.enforced_at > 0 for c in judge.crowd.register.campaigns.values()
            ),
            members=len(judge.crowd.held()),
            signals=self.world.signals.views(),
            tables=(
                *(TableView(kind.value, *self.world.size(kind)) for kind in TABLED),
                TableView("link", *links),
            ),
        )

    def scored(self, kind: str | None = None, limit: int = 100) -> list[ScoredView]:
        """Return entities with evidence, highest score first."""
        return scored(self.judge, self.clock, kind, limit)

    def explain(self, name: str) -> Explanation:
        """Explain an address, CIDR, account, stack or template. Raises NotFoundError."""
        return explain(self.judge, name, self.clock)

    def campaign_with(self, account: str) -> str | None:
        """Return the id of the campaign that an account belongs to, enforced or not."""
        row = self.world.accounts.rows.get(account)
        campaigns = self.judge.crowd.register.campaigns.values()
        return next((c.id for c in campaigns if row in c.accounts), None)

    def campaigns(self) -> list[CampaignSummary]:
        """Return all campaigns, the enforced ones first."""
        return campaigns(self.judge, self.clock)

    def campaign(self, name: str) -> CampaignDetail:
        """Explain a campaign by its id. Raises NotFoundError."""
        return campaign(self.judge, name, self.clock)

    def allowed(self) -> list[AllowView]:
        """Return every network that no decision may cover, and why."""
        return self.judge.docket.guard.views(self.clock)

    def rules(self) -> list[RuleView]:
        """Return the loaded rules with their hit counts."""
        return [
            RuleView(
                id=r.id,
                family=r.family.value,
                kind=r.kind.value,
                maturity=r.maturity.value,
                weight=r.weight,
                about=r.about,
                hits=self._hits.get(r.id, 0),
            )
            for r in self.rulebook.rules
        ]

    def _tabled_rules(self) -> list[tuple[Kind, tuple[Rule, ...]]]:
        return [(k, r) for k, r in self._compiled.by_kind.items() if k in self._fired]

    # Persistence

    def snapshot(self) -> bytes:
        """Return all learned state (not decisions) as bytes, for `restore`."""
        arrays = dump_world(self.world) | dump_times(self.judge)
        for kind, rules in self._tabled_rules():
            for column, rule in enumerate(rules):
                arrays[f"fired.{rule.id}"] = self._fired[kind][:, column]
        clock = self._clock
        extra = {"now": clock.now, "late": clock.late, "jumps": clock.jumps, "grid": self._grid}
        extra |= {"cell": self._cell, "pass": self._pass}
        quantiles = [
            (w.kind.value, w.feature, w.quantile, v) for w, v in self.baselines.values.items()
        ]
        return pack(
            arrays, notes(self.judge, extra | {"records": self._records}, self._hits, quantiles)
        )

    def restore(self, blob: bytes) -> None:
        """Load what `snapshot` returned. Raises InvalidError for a blob of another version."""
        arrays, note = unpack(blob)
        load_world(self.world, arrays)
        recall(self.judge, note, {rule.id: rule for rule in self.rulebook.rules})
        load_times(self.judge, arrays)
        for kind, rules in self._tabled_rules():
            for column, rule in enumerate(rules):
                fired = arrays.get(f"fired.{rule.id}")
                if fired is not None:
                    rows = min(len(fired), len(self._fired[kind]))
                    self._fired[kind][:rows, column] = fired[:rows]
        self._clock.now = note.extra["now"]
        self._clock.late, self._clock.jumps = int(note.extra["late"]), int(note.extra["jumps"])
        self._grid, self._records = note.extra["grid"], int(note.extra["records"])
        self._cell, self._pass = note.extra["cell"], note.extra["pass"]
        self._hits = dict(note.hits)
        for kind_name, feature, quantile, value in note.baselines:
            self.baselines.values[Wish(Kind(kind_name), feature, quantile)] = value


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
