"""Loops by the clock: ticks for the engine, the host's own addresses, snapshots, the watchdog."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

from excise.daemon.core import Core
from excise.errors import StoreError
from excise.host import Findings
from excise.log import Log
from excise.model.step import Protect
from excise.store.snapshot import write_snapshot
from excise.supervise import Progress, sd_notify

TICK_S = 1.0
PROTECT_S = 30.0
SNAPSHOT_S = 30.0
#: taking a snapshot holds up the engine: at most this share of the time goes there
SNAPSHOT_SHARE = 0.01
#: a snapshot that should not wait still lets the decisions go first
GIVE_WAY_S = 0.2

Beat = Callable[[], None]


async def keep_ticking(core: Core, ready: Callable[[], bool], beat: Beat) -> None:
    """Tell the engine about every second, once the inputs have caught up with their logs.

    Before that, time belongs to the lines that were written while nobody read.
    """
    while True:
        beat()
        if ready():
            await core.tick()
        await asyncio.sleep(TICK_S)


@dataclass(slots=True)
class Protector:
    """Keeps the engine told of what this host cannot do without."""

    core: Core
    discover: Callable[[], Findings]
    executor: Executor
    known: tuple[str, ...] | None = None
    problems: tuple[str, ...] = field(default=())

    async def refresh(self) -> None:
        """Look once; tell the engine what changed. What cannot be looked up stays as known."""
        loop = asyncio.get_running_loop()
        findings = await loop.run_in_executor(self.executor, self.discover)
        for problem in set(findings.problems) - set(self.problems):
            self.core.alarm("protect-failed", f"{problem}; what it told before stays protected")
        found = set(findings.cidrs)
        if findings.problems:
            found |= set(self.known or ())
        self.problems = findings.problems
        cidrs = tuple(sorted(found))
        if cidrs != self.known:
            self.known = cidrs
            await self.core.protect([Protect(cidrs)])

    async def run(self, beat: Beat) -> None:
        """Look every 30 s, for ever."""
        while True:
            beat()
            await asyncio.sleep(PROTECT_S)
            await self.refresh()


@dataclass(slots=True)
class Snapshots:
    """Writes the engine's state to `path`, so that a restart need not read days of logs."""

    core: Core
    path: Path
    executor: Executor
    problem: str = ""
    interval_s: float = SNAPSHOT_S

    async def write(self) -> None:
        """Write one now. A failure is an alarm, once per outage."""
        monotonic = self.core.time.clock.monotonic
        begun_s = monotonic()
        taken = await self.core.snapshot()
        self.interval_s = max(SNAPSHOT_S, (monotonic() - begun_s) / SNAPSHOT_SHARE)
        await self.core.ledger.flush()
        if self.core.ledger.problem:
            # A snapshot ahead of the stored cursors would hide decisions that were never stored.
            return
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self.executor, write_snapshot, self.path, taken)
        except StoreError as error:
            if not self.problem:
                self.core.alarm("snapshot-failed", f"{error}; a restart would read more log")
            self.problem = str(error)
        else:
            self.problem = ""

    async def run(self, beat: Beat) -> None:
        """Write one every 30 s or so, and when it should not wait, for ever."""
        while True:
            beat()
            try:
                async with asyncio.timeout(self.interval_s):
                    await self.core.worth_keeping.wait()
                await asyncio.sleep(GIVE_WAY_S)
            except TimeoutError:
                pass
            self.core.worth_keeping.clear()
            await self.write()


async def feed_watchdog(progress: Progress, interval_s: float, log: Log, _: Beat) -> None:
    """Tell the service manager that all loops go round; stay silent when one does not."""
    while True:
        stuck = progress.stuck()
        if stuck:
            log.error("daemon.stuck", loops=stuck)
        else:
            sd_notify("WATCHDOG=1")
        await asyncio.sleep(interval_s)
