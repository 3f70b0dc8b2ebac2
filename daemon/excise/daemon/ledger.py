"""What waits to be stored: written in order by one loop, at once for decisions.

A failing store is counted, alarmed and tried again; it stops neither reading nor enforcing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Protocol

from excise.daemon.clock import Clock
from excise.daemon.pending import Entry, Pending
from excise.daemon.stream import EventStream, Numbered
from excise.errors import StoreError
from excise.model.decision import Decision, DecisionEvent
from excise.store.store import Batch, Retention

#: cursors alone wait this long, so that a busy log does not write for every chunk
CURSOR_DELAY_S = 1.0
RETRY_S = 1.0
PRUNE_EVERY_S = 600.0
#: events held while the store fails; past them the oldest are given up and counted
MOST_WAITING = 50_000
#: serials taken ahead of their use, so that none is given out twice after a crash
RESERVE = 10_000


class Keeper(Protocol):
    """What the ledger needs of the store."""

    def commit(self, *batches: Batch) -> None:
        """Write all batches in one transaction."""
        ...

    def settle(self, decisions: Sequence[Decision], ts: float) -> None:
        """Make the active set exactly `decisions`."""
        ...

    def events_after(self, serial: int, limit: int) -> list[tuple[int, DecisionEvent]]:
        """Return kept events above a serial."""
        ...

    def prune(self, now: float, keep: Retention) -> None:
        """Forget what is too old."""
        ...


@dataclass(slots=True)
class Ledger:
    """Numbers effects, stores them with their cursors, then publishes them.

    `active` returns the engine's decisions; `on_alarm(code, text)` is told of an outage once,
    and once of its end.
    """

    store: Keeper
    stream: EventStream
    clock: Clock
    executor: Executor
    active: Callable[[], list[Decision]]
    on_alarm: Callable[[str, str], None]
    reserved: int = 0
    failures: int = 0
    lost_events: int = 0
    problem: str = ""
    _pending: Pending = field(default_factory=Pending)
    _engine_clock: float = 0.0
    _pruned_s: float = float("-inf")
    _unsettled: bool = False
    _put: int = 0
    _tried: int = 0
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _went: asyncio.Condition = field(default_factory=asyncio.Condition)

    def put(self, entry: Entry, engine_clock: float, *, durable: bool = False) -> int:
        """Take an outcome, in the order of the steps; return a ticket for `settled`.

        Never waits: what cannot be stored yet is held, up to a bound.
        """
        self._engine_clock = engine_clock
        self._put += 1
        numbered = self.stream.number(entry.effects)
        self._pending.add(entry, numbered, durable=durable or entry.operators)
        if entry.effects or self._pending.durable:
            self._wake.set()
        return self._put

    def unsettle(self) -> None:
        """Have the stored active set written anew: it changed in other ways than by events."""
        self._unsettled = True

    async def settled(self, ticket: int) -> None:
        """Wait until what the ticket stands for is stored, or storing it has failed."""
        async with self._went:
            await self._went.wait_for(lambda: self._tried >= ticket)

    async def older(self, after: int, limit: int) -> Sequence[Numbered]:
        """Read stored events above a serial, for readers that the stream has left behind."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.executor, self.store.events_after, after, limit)

    async def run(self, beat: Callable[[], None]) -> None:
        """Store what comes in, for ever."""
        while True:
            beat()
            try:
                async with asyncio.timeout(CURSOR_DELAY_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            await self.flush()
            await self._prune()
            if self.problem:
                await asyncio.sleep(RETRY_S)

    async def flush(self, *, last: bool = False) -> None:
        """Store and publish everything held. `last`: nothing follows, no serial stays reserved."""
        # One at a time: a failed write must not be repeated over a later one that succeeded.
        async with self._writing:
            taken, self._pending, ticket = self._pending, Pending(), self._put
            if last or self._must_write(taken):
                serials = self.stream.next_serial + (0 if last else RESERVE)
                await self._write(taken, serials)
            self.stream.publish(taken.numbered)
            taken.numbered.clear()
        async with self._went:
            self._tried = max(self._tried, ticket)
            self._went.notify_all()

    def _must_write(self, taken: Pending) -> bool:
        runs_out = self.stream.next_serial > self.reserved and bool(taken.numbered)
        return runs_out or bool(taken.events or taken.cursors or taken.durable)

    async def _write(self, taken: Pending, serials: int) -> None:
        batch = taken.batch(self._engine_clock, self.clock.wall(), serials)
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self.executor, self.store.commit, batch)
            if self._unsettled:
                active, ts = self.active(), self._engine_clock
                await loop.run_in_executor(self.executor, self.store.settle, active, ts)
        except StoreError as error:
            self._hold(taken, error)
        else:
            self.reserved, self._unsettled = serials, False
            if self.problem:
                self.on_alarm("store-recovered", "decisions are stored again")
            self.problem = ""

    def _hold(self, taken: Pending, error: StoreError) -> None:
        self.failures += 1
        if not self.problem:
            self.on_alarm("store-failed", f"{error}; decisions are enforced, not stored")
        self.problem = str(error)
        # What waits is stored later, in order, under what came meanwhile.
        held = Pending()
        held.extend(taken)
        held.numbered.clear()
        held.extend(self._pending)
        shed = held.shed(MOST_WAITING)
        self.lost_events += shed
        self._unsettled |= shed > 0
        self._pending = held

    async def _prune(self) -> None:
        now_s = self.clock.monotonic()
        if now_s - self._pruned_s < PRUNE_EVERY_S or self.problem:
            return
        self._pruned_s = now_s
        loop = asyncio.get_running_loop()
        keep = Retention()
        try:
            await loop.run_in_executor(self.executor, self.store.prune, self._engine_clock, keep)
        except StoreError as error:
            self.failures += 1
            self.on_alarm("store-failed", f"{error}; old decisions are kept longer")
