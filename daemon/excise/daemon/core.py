"""The one owner of the engine: every step goes through here, in order, on the event loop.

What a step changed is counted and logged at once, handed to the ledger with the cursor that it
belongs to, and to the reconciler, which does not wait for the ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from excise.api.tally import Tally
from excise.config import Config
from excise.daemon.clock import EngineTime
from excise.daemon.converge import Wish
from excise.daemon.ledger import Ledger
from excise.daemon.pending import Entry
from excise.daemon.reconcile import Reconciler
from excise.daemon.roll import Roll
from excise.decide.guard import parse_network, without
from excise.engine import Engine
from excise.log import Log, log_alarm, log_decision
from excise.model.decision import DecisionEvent
from excise.model.record import Record
from excise.model.step import Alarm, Allow, Disallow, Effect, Input, Observed, SetPosture, Tick
from excise.rules.schema import Rulebook
from excise.store.snapshot import Snapshot
from excise.store.store import FORGOTTEN, PostureChoice

#: records in one step, and the time that a step should take: between steps the API is served
LEAST_RECORDS, MOST_RECORDS = 64, 4_096
STEP_S = 0.02
#: the engine moved the decisions' times silently: the store has to be told all of them
CLOCK_JUMPED = "clock-jumped"
#: a restart must not rearm the governor: it has to be in the snapshot
GOVERNOR_TRIPPED = "governor-tripped"
#: nor may it forget that peers are doubted
PEERS_DOUBTED = "peers-doubted"


@dataclass(slots=True)
class Core:
    """Feeds the engine.

    `intake` is held for a whole chunk, so that nothing is stored or snapshot between the lines
    of one chunk, whose cursor stands for all of them.
    """

    engine: Engine
    ledger: Ledger
    reconciler: Reconciler
    time: EngineTime
    tally: Tally
    log: Log
    config: Config
    roll: Roll
    step_records: int = LEAST_RECORDS
    processed: dict[str, str] = field(default_factory=dict)
    intake: asyncio.Lock = field(default_factory=asyncio.Lock)
    worth_keeping: asyncio.Event = field(default_factory=asyncio.Event)

    async def feed(self, name: str, records: Sequence[Record], cursor: str) -> None:
        """Take the records of one chunk of the input `name`; `cursor` (JSON) is its end."""
        async with self.intake:
            effects: list[Effect] = []
            cancelled = False
            try:
                await self._observe(records, effects)
            except asyncio.CancelledError:
                cancelled = True
                raise
            finally:
                # A chunk that broke the engine is passed over: read again, it would break it
                # again. One cut short by the end of the daemon is read again by the next.
                if not cancelled:
                    if name not in self.processed:
                        self.worth_keeping.set()
                    self.processed[name] = cursor
                    self.ledger.put(Entry(effects, {name: cursor}), self.engine.clock)

    async def push(self, records: Sequence[Record]) -> None:
        """Take records that come from no input and have no cursor."""
        async with self.intake:
            effects: list[Effect] = []
            try:
                await self._observe(records, effects)
            finally:
                self.ledger.put(Entry(effects), self.engine.clock)

    def forget(self, name: str) -> None:
        """Forget the place of an input that is gone for good."""
        if self.processed.pop(name, None) is not None:
            self.ledger.put(Entry((), {name: FORGOTTEN}), self.engine.clock)

    async def operate(self, *inputs: Input) -> list[Effect]:
        """Take operator inputs; return when stored and acknowledged by the kernel.

        Raises what `Engine.step` raises, and EnforceError where the kernel did not take it.
        """
        async with self.intake:
            now = self.time.now() or self.time.clock.wall()
            effects = self._step(inputs, now)
            entry = self._entry(effects, inputs)
            stored = self.ledger.put(entry, self.engine.clock, durable=True)
            enforced = self.reconciler.kick()
        await self.ledger.settled(stored)
        await self.reconciler.settled(enforced)
        return effects

    async def protect(self, inputs: Sequence[Input]) -> None:
        """Take inputs of the shell's own, which need neither waiting nor the disk."""
        async with self.intake:
            effects = self._step(inputs, self.time.now() or None)
            self.ledger.put(Entry(effects), self.engine.clock)
            self.reconciler.kick()

    def wish(self) -> Wish:
        """Return what the kernel should be made from now."""
        now = self.time.clock.wall()
        return Wish(
            census=self.roll.census(now),
            tiers=self.config.tiers,
            protected=self.protected(),
            ports=self.config.ports,
            now=now,
            room=self.config.kernel,
            guard=self.config.guard,
        )

    def protected(self) -> list[str]:
        """Return the CIDRs that always pass: the safe ones, but for what the operator forced."""
        return without((view.cidr for view in self.engine.allowed()), self.roll.forced())

    async def configure(self, config: Config, rulebook: Rulebook) -> None:
        """Put another configuration and rules in force, between two chunks; evidence is kept."""
        async with self.intake:
            self.config = config
            self.engine.configure(config.settings())
            if rulebook != self.engine.rulebook:
                self.engine.replace_rules(rulebook)
            self.reconciler.kick()

    async def tick(self) -> None:
        """Let the engine know that time passed; nothing before its first record."""
        async with self.intake:
            if self.time.now() > 0.0:
                effects = self._step([Tick()], self.time.now())
                if effects:
                    self.ledger.put(Entry(effects), self.engine.clock)

    async def snapshot(self) -> Snapshot:
        """Return the engine's state with the cursors that it stands for.

        What led to it is with the ledger, which the next `flush` brings to the disk.
        """
        async with self.intake:
            taken = Snapshot(
                clock=self.engine.clock,
                wall=self.time.clock.wall(),
                cursors=dict(self.processed),
                blob=self.engine.snapshot(),
            )
            self.ledger.put(Entry(), self.engine.clock, durable=True)
            return taken

    def alarm(self, code: str, text: str) -> None:
        """Raise an alarm of the shell's own: logged, counted, streamed."""
        alarm = Alarm(self.engine.clock or self.time.clock.wall(), code, text)
        self._account([alarm])
        self.ledger.put(Entry([alarm]), self.engine.clock)

    async def _observe(self, records: Sequence[Record], effects: list[Effect]) -> None:
        done = 0
        while done < len(records):
            if done:
                await asyncio.sleep(0)
            part = records[done : done + self.step_records]
            begun_s = self.time.clock.monotonic()
            effects += self._step([Observed(part)], None)
            self._pace(len(part), self.time.clock.monotonic() - begun_s)
            done += len(part)

    def _pace(self, count: int, took_s: float) -> None:
        """Fit the size of the next step to how long this one took."""
        fitting = int(count * STEP_S / max(took_s, 1e-6))
        if count == self.step_records or fitting < count:
            self.step_records = max(LEAST_RECORDS, min(fitting, MOST_RECORDS))

    def _step(self, inputs: Sequence[Input], now: float | None) -> list[Effect]:
        effects = self.engine.step(inputs, now)
        self.time.saw(self.engine.clock)
        if any(isinstance(effect, DecisionEvent) for effect in effects):
            self.reconciler.kick()
        self._account(effects)
        return effects

    def _entry(self, effects: Sequence[Effect], inputs: Sequence[Input]) -> Entry:
        """Return the outcome of operator inputs with the choices that a restart must know."""
        allowed: dict[str, float | None] = {}
        disallowed: list[str] = []
        posture: PostureChoice | None = None
        for item in inputs:
            match item:
                case Allow(cidr=cidr, ttl_s=ttl_s):
                    until = None if ttl_s is None else self.time.clock.wall() + ttl_s
                    allowed[str(parse_network(cidr))] = until
                case Disallow(cidr=cidr):
                    disallowed.append(str(parse_network(cidr)))
                case SetPosture(posture=chosen):
                    posture = PostureChoice(chosen, self.config.posture)
        return Entry(effects, {}, allowed, disallowed, posture)

    def _account(self, effects: Sequence[Effect]) -> None:
        self.tally.count(effects)
        for effect in effects:
            match effect:
                case DecisionEvent():
                    log_decision(self.log, effect)
                    self.roll.note(effect)
                case Alarm(code=code):
                    log_alarm(self.log, effect)
                    if code == CLOCK_JUMPED:
                        self.ledger.unsettle()
                        self.roll.reset(self.engine.decisions())
                    if code in (CLOCK_JUMPED, GOVERNOR_TRIPPED, PEERS_DOUBTED):
                        self.worth_keeping.set()
