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
from excise.features.world import ALWAYS_EXACT, Span, World
from excise.hearing import Hearing
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
from excise.rules.compile import fires, numbers
from excise.rules.schema import Rulebook

#: records worked on in one pass: the fixed cost of a pass is spread, the arrays stay in cache
PIECE = 8_192
#: grid of event time on which quantiles, landmark and generations move
GRID_S = REFRESH_S


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
        self._hearing = Hearing(self.world, self.judge, self.baselines)
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
        self._hearing.run_timers(now)
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
                self._hearing.run_timers(now)
                self._advance(now)
            upto = at + int(np.searchsorted(span.clock[at : span.end], self._grid))
            part = Span(span.ts, span.clock, at, min(upto, at + PIECE))
            piece = self.world.take(batch, part)
            if piece is not None:
                self._hearing.take(piece)
                at += len(piece)

    def _advance(self, now: float) -> None:
        """Cross into a new cell of one of the grids, or both."""
        if self._grid == 0.0:
            self.world.start(now)
        if now >= self._cell:
            if self._cell:
                self.world.advance(now)
                suspects = self.judge.roll.suspects()
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
        rules = self._hearing.compiled.by_kind.get(Kind.CAMPAIGN, ())
        if not rules:
            return
        self.judge.trials.close(now)
        groups = find(self.world, now)
        register = self.judge.crowd.register
        measured = measure(self.world, groups, register.match(groups, now), now)
        measured.columns["substitution"] = self.judge.trials.evidence(measured.rows, now)
        for g, number in enumerate(measured.rows.tolist()):
            register.campaigns[number].numbers = measured.at(g)
        for rule in rules:
            for g in np.flatnonzero(fires(rule, measured, self.baselines)).tolist():
                self._hearing.count(rule)
                seen = numbers(rule, measured, self.baselines, g)
                self.judge.hit(Kind.CAMPAIGN, int(measured.rows[g]), rule, now, seen)
        self.judge.fleets.review(now)
        self.judge.trials.open(groups, now)

    def _jumped(self) -> None:
        text = "several lines agree on another time; the event clock followed them"
        self.judge.docket.emit(Alarm(self.clock, "clock-jumped", text))

    def _step_back(self, seconds: float) -> None:
        self.world.step_back(seconds)
        self.judge.step_back(seconds)
        self._hearing.step_back(seconds)
        self._grid, self._cell, self._pass = (
            t - seconds for t in (self._grid, self._cell, self._pass)
        )

    def _held(self, kind: Kind) -> Rows:
        return self.judge.roll.held(kind)

    def _forgotten(self, kind: Kind, rows: np.ndarray) -> None:
        self.judge.forget_rows(kind, rows)
        self._hearing.forget(kind, rows)

    # Rules

    def replace_rules(self, rulebook: Rulebook) -> None:
        """Swap the rules atomically; evidence of rules that remain is kept."""
        self.rulebook = rulebook
        self._hearing.replace_rules(rulebook)
        compiled = self._hearing.compiled
        self.baselines.wishes = compiled.wishes
        self.world.exact = ALWAYS_EXACT | compiled.by_kind.keys()
        self.judge.cases.keep_rules({rule.id: rule for rule in rulebook.rules})

    def configure(self, settings: Settings) -> None:
        """Take over the settings that may change while running: all but `capacity`."""
        self.settings = settings
        self.world.directory.asns = settings.asns
        self.judge.configure(settings, self.clock)
        self.judge.docket.review_peers(self.clock)
        if self._pass:
            self._pass = self._next_pass(self.clock)
            self._grid = min(self._cell, self._pass)

    def set_baseline(self, kind: Kind, values: dict[str, float]) -> None:
        """Pin the quantile of features of a kind, as if the host's population had it."""
        self.baselines.pinned |= {(kind, name): value for name, value in values.items()}

    def set_substitution(self, value: float) -> None:
        """Pin what trials have found of any campaign, as if there had been one."""
        self.judge.trials.pinned = value

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
            trials=judge.trials.glance(),
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
                hits=self._hearing.hits.get(r.id, 0),
            )
            for r in self.rulebook.rules
        ]

    # Persistence

    def snapshot(self) -> bytes:
        """Return all learned state (not decisions) as bytes, for `restore`."""
        arrays = dump_world(self.world) | dump_times(self.judge) | self._hearing.dump()
        clock = self._clock
        extra = {"now": clock.now, "late": clock.late, "jumps": clock.jumps, "grid": self._grid}
        extra |= {"cell": self._cell, "pass": self._pass}
        quantiles = [
            (w.kind.value, w.feature, w.quantile, v) for w, v in self.baselines.values.items()
        ]
        return pack(
            arrays,
            notes(self.judge, extra | {"records": self._records}, self._hearing.hits, quantiles),
        )

    def restore(self, blob: bytes) -> None:
        """Load what `snapshot` returned. Raises InvalidError for a blob of another version."""
        arrays, note = unpack(blob)
        load_world(self.world, arrays)
        recall(self.judge, note, {rule.id: rule for rule in self.rulebook.rules})
        load_times(self.judge, arrays)
        self._hearing.load(arrays)
        self._clock.now = note.extra["now"]
        self._clock.late, self._clock.jumps = int(note.extra["late"]), int(note.extra["jumps"])
        self._grid, self._records = note.extra["grid"], int(note.extra["records"])
        self._cell, self._pass = note.extra["cell"], note.extra["pass"]
        self._hearing.hits = dict(note.hits)
        for kind_name, feature, quantile, value in note.baselines:
            self.baselines.values[Wish(Kind(kind_name), feature, quantile)] = value
