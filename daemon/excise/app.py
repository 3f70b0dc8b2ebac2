"""The daemon's life, from start to stop, in order."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from functools import partial
from pathlib import Path

from excise import __version__
from excise.api.server import serve
from excise.config import LogConfig, LogFormat
from excise.daemon.clock import SystemClock
from excise.daemon.control import Daemon
from excise.daemon.house import House, build
from excise.daemon.inputs import InputLoop
from excise.daemon.reload import load_or_raise
from excise.daemon.statedir import StateDirectory
from excise.daemon.watch import feed_watchdog, keep_ticking
from excise.errors import ConfigError
from excise.log import Log, make_log
from excise.store.store import Store
from excise.supervise import Supervisor, sd_notify, watchdog_interval_s

Beat = Callable[[], None]
Job = Callable[[Beat], Coroutine[None, None, None]]


def run_daemon(path: Path | None) -> None:
    """Run the daemon in the foreground until SIGTERM or SIGINT.

    Raises ExciseError for whatever stands against starting: each says what, where, what to do.
    """
    loaded = load_or_raise(path)
    state, clock = StateDirectory(loaded.config.state), SystemClock()
    with ExitStack() as stack:
        log = stack.enter_context(open_log(loaded.config.log))
        stack.enter_context(state.locked())
        store, damage = Store.open(state.database, clock.wall())
        stack.callback(store.close)
        house = build(loaded, path=path, state=state, store=store, log=log, clock=clock)
        stack.callback(house.shut)
        if damage:
            house.core.alarm("store-damaged", damage)
        for note in loaded.config.notes:
            log.info("config.noted", note=note)
        asyncio.run(live(house))


async def live(house: House) -> None:
    """Take hold of the kernel, open the doors, turn until told to stop, and leave in order."""
    stop, hangup = _signals()
    await house.protector.refresh()
    await house.take_hold()
    await house.snapshots.write()
    await house.core.reconciler.round()
    async with AsyncExitStack() as doors:
        await doors.enter_async_context(
            serve(
                house.daemon,
                socket_path=house.config.api.socket,
                listen=house.config.api.listen,
                state=house.state.root,
                log=house.log,
            )
        )
        async with asyncio.TaskGroup() as tasks:
            await turn(house, tasks, stop, hangup, doors)
    await house.core.ledger.flush(last=True)
    house.log.info("daemon.stopped", posture=house.core.engine.posture.value)


async def turn(
    house: House,
    tasks: asyncio.TaskGroup,
    stop: asyncio.Event,
    hangup: asyncio.Event,
    doors: AsyncExitStack,
) -> None:
    """Run all loops until `stop`; then close the doors, take leave of the inputs, and settle."""
    core, daemon = house.core, house.daemon
    supervisor = Supervisor(partial(_failed, house), core.time.clock.monotonic)

    def keep(name: str, job: Job) -> asyncio.Task[None]:
        return tasks.create_task(_kept(supervisor, house, name, job), name=name)

    feeders: list[asyncio.Task[None]] = []
    keepers = [keep("ledger", core.ledger.run), keep("reconcile", core.reconciler.run)]

    def follow(loop: InputLoop) -> asyncio.Task[None]:
        feeders.append(keep(f"input {loop.name}", loop.run))
        return feeders[-1]

    for loop in tuple(daemon.loops):
        follow(loop)
    feeders += [
        *(keep(f"files {g.item.name}", partial(g.run, follow)) for g in daemon.gathers),
        keep("silence", daemon.silence.run),
        keep("ticks", partial(keep_ticking, core, daemon.caught_up)),
        keep("protect", house.protector.run),
        keep("snapshots", house.snapshots.run),
        keep("meter", daemon.meter.run),
        keep("reload", partial(_reload_on, hangup, daemon)),
    ]
    interval_s = watchdog_interval_s()
    if interval_s:
        feed = partial(feed_watchdog, house.progress, interval_s, house.log)
        keepers.append(keep("watchdog", feed))
    sd_notify("READY=1", f"STATUS={core.engine.posture.value}, {len(house.config.inputs)} inputs")
    house.log.info("daemon.ready", version=__version__, posture=core.engine.posture.value)

    await stop.wait()
    sd_notify("STOPPING=1")
    await doors.aclose()
    # Whoever holds the intake is in the middle of a chunk: none is cut in two.
    async with core.intake:
        for task in feeders:
            task.cancel()
    await house.settle()
    for task in keepers:
        task.cancel()


@contextmanager
def open_log(config: LogConfig) -> Iterator[Log]:
    """Give the daemon's log while the context is open. Raises ConfigError."""
    as_json = None if config.format is LogFormat.AUTO else config.format is LogFormat.JSON
    if config.file is None:
        yield make_log(sys.stderr, as_json=as_json, level=config.level.value)
        return
    try:
        stream = config.file.open("a", encoding="utf-8", buffering=1)
    except OSError as error:
        raise ConfigError(f"log.file {config.file}: {error.strerror}") from error
    with stream:
        yield make_log(stream, as_json=as_json, level=config.level.value)


def _signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Return events for SIGTERM or SIGINT, and for SIGHUP."""
    stop, hangup = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, hangup.set)
    return stop, hangup


async def _kept(supervisor: Supervisor, house: House, name: str, job: Job) -> None:
    beat = partial(house.progress.beat, name)
    await supervisor.run(name, lambda: job(beat))
    house.progress.forget(name)


async def _reload_on(hangup: asyncio.Event, daemon: Daemon, _: Beat) -> None:
    """Reload whenever the service manager or a person asks by signal."""
    while True:
        await hangup.wait()
        hangup.clear()
        sd_notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            await daemon.reload()
        finally:
            sd_notify("READY=1")


def _failed(house: House, name: str, error: Exception, count: int) -> None:
    """Tell of a task that failed and is started again."""
    trace = "".join(traceback.format_exception(error))
    house.log.error("daemon.task_failed", task=name, error=repr(error), count=count, trace=trace)
    house.core.alarm("task-failed", f"{name}: {error!r}; started again, failure {count}")
