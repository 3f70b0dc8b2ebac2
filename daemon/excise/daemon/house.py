"""Builds the daemon's parts from a configuration, a store and what earlier runs left."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from excise.api.tally import Tally
from excise.config import Config, InputConfig
from excise.daemon.clock import Clock, EngineTime
from excise.daemon.control import RECORD, Daemon
from excise.daemon.converge import Converger, Wish
from excise.daemon.core import Core
from excise.daemon.culprits import Culprits
from excise.daemon.inputs import InputLoop, decode_cursor
from excise.daemon.kernel import make_enforcer, take_hold
from excise.daemon.ledger import Ledger
from excise.daemon.meter import Meter
from excise.daemon.pending import Entry
from excise.daemon.readers import make_decoder, open_source, rereaders
from excise.daemon.reconcile import Reconciler
from excise.daemon.reload import Loaded
from excise.daemon.restore import Restored, restore
from excise.daemon.roll import Roll
from excise.daemon.statedir import StateDirectory
from excise.daemon.stream import EventStream
from excise.daemon.watch import Protector, Snapshots
from excise.errors import EnforceError, SourceError, StoreError
from excise.host import Findings, discover
from excise.log import Log
from excise.model.decision import Posture
from excise.store.snapshot import Snapshot, read_snapshot
from excise.store.store import Store, Stored
from excise.supervise import Progress

#: a loop that did not go round for so long is stuck
STUCK_S = 60.0
#: how long the end waits for the kernel to take the newest decisions
SETTLE_S = 2.0


@dataclass(frozen=True, slots=True)
class House:
    """All parts of a daemon, wired, nothing running yet."""

    daemon: Daemon
    protector: Protector
    snapshots: Snapshots
    progress: Progress
    log: Log
    state: StateDirectory
    disk: ThreadPoolExecutor
    kernel: ThreadPoolExecutor

    @property
    def core(self) -> Core:
        """The owner of the engine."""
        return self.daemon.core

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self.daemon.core.config

    @property
    def converger(self) -> Converger:
        """What makes the kernel agree."""
        return self.daemon.core.reconciler.converger

    @property
    def enforcing(self) -> bool:
        """Whether anything may reach the kernel."""
        return self.core.engine.posture is not Posture.OBSERVE

    async def take_hold(self) -> None:
        """Take over the kernel's state, or clear it while observing. Raises EnforceError."""
        hold = partial(
            take_hold,
            self.converger,
            self.config,
            self.core.protected(),
            enforcing=self.enforcing,
            log=self.log,
        )
        await asyncio.get_running_loop().run_in_executor(self.kernel, hold)

    async def settle(self) -> None:
        """Bring kernel and disk to where the engine stands, as far as they let us."""
        with suppress(EnforceError, TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                await self.core.reconciler.settled(self.core.reconciler.kick())
        await self.snapshots.write()

    def shut(self) -> None:
        """Let go of everything. The kernel keeps what it holds until its timeouts lift it."""
        self.kernel.shutdown()
        self.disk.shutdown()
        self.converger.close(keep=True)
        for loop in self.daemon.loops:
            loop.source.close()


def build(
    loaded: Loaded,
    *,
    path: Path | None,
    state: StateDirectory,
    store: Store,
    log: Log,
    clock: Clock,
) -> House:
    """Build a daemon that goes on where an earlier one ended. Raises ExciseError."""
    config, key = loaded.config, state.load_account_key()
    stored = store.load()
    snapshot, damage = _snapshot(state)
    readers = rereaders(config, key)
    restored = restore(config.settings(), loaded.rulebook, stored, snapshot, readers)

    disk, kernel = ThreadPoolExecutor(1, "disk"), ThreadPoolExecutor(1, "kernel")
    core = _core(
        config,
        stored,
        restored,
        store=store,
        log=log,
        clock=clock,
        disk=disk,
        kernel=kernel,
    )
    loops = [_loop(core, item, stored, key) for item in config.inputs]
    progress = Progress(clock.monotonic, STUCK_S)
    daemon = Daemon(
        core=core,
        loops=loops,
        pushed=make_decoder(RECORD, config, key),
        decoder=lambda name, now: make_decoder(name, now, key),
        progress=progress,
        kernel=kernel,
        meter=make_meter(core, kernel),
        started_ts=clock.wall(),
        config_path=path,
    )
    protector = Protector(core, partial(_discover, core), kernel)
    snapshots = Snapshots(core, state.snapshot, disk)
    for text in (*damage, *restored.notes):
        core.alarm("restored-less", text)
    return House(daemon, protector, snapshots, progress, log, state, disk, kernel)


def _core(
    config: Config,
    stored: Stored,
    restored: Restored,
    *,
    store: Store,
    log: Log,
    clock: Clock,
    disk: ThreadPoolExecutor,
    kernel: ThreadPoolExecutor,
) -> Core:
    """Wire core, ledger and reconciler, each of which tells the core what goes wrong."""

    def alarm(code: str, text: str) -> None:
        core.alarm(code, text)

    def wish() -> Wish:
        return core.wish()

    engine = restored.engine
    stream = EventStream(stored.serials)
    culprits = Culprits(log, clock.wall)
    converger = Converger(make_enforcer(config, log))
    reconciler = Reconciler(converger, wish, kernel, alarm, log, culprits)
    time = EngineTime(clock)
    time.resume(stored.clock, stored.wall)
    core = Core(
        engine=engine,
        ledger=Ledger(store, stream, clock, disk, engine.decisions, alarm),
        reconciler=reconciler,
        time=time,
        tally=Tally(),
        log=log,
        config=config,
        roll=Roll(engine.decisions()),
        processed=dict(stored.cursors),
    )
    core.ledger.put(Entry(restored.effects, posture=restored.posture), engine.clock)
    return core


def make_meter(core: Core, kernel: Executor) -> Meter:
    """Return what adds up the kernel's counters for a core."""
    return Meter(
        converger=core.reconciler.converger,
        executor=kernel,
        around=core.roll.around,
        wall=core.time.clock.wall,
        log=core.log,
    )


def _loop(core: Core, item: InputConfig, stored: Stored, key: bytes) -> InputLoop:
    source = open_source(item)
    cursor = stored.cursors.get(source.name)
    if cursor is not None:
        try:
            source.seek(decode_cursor(cursor))
        except SourceError as error:
            core.alarm("input-broken", f"{source.name}: {error}")
    return InputLoop(source, make_decoder(item.format, core.config, key), item.format, core)


def _discover(core: Core) -> Findings:
    """Look for what the host cannot do without; its own addresses count in any configuration."""
    return discover(own_only=not core.config.protect_operator)


def _snapshot(state: StateDirectory) -> tuple[Snapshot | None, list[str]]:
    try:
        return read_snapshot(state.snapshot), []
    except StoreError as error:
        return None, [f"{error}; learning starts anew"]
