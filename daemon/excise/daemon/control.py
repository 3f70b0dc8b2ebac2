"""The running daemon as the control API sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from excise.api.tally import Tally
from excise.config import Config
from excise.daemon.converge import Converger
from excise.daemon.core import Core
from excise.daemon.inputs import InputLoop, Rejects
from excise.daemon.reload import Loaded, in_force, load_all, refused
from excise.decode.base import Decoder
from excise.decode.registry import Format
from excise.engine import Engine
from excise.errors import EnforceError, RefusedError
from excise.model.decision import Posture
from excise.model.step import Effect, Input, SetPosture
from excise.model.view import EnforcerView, InputView, PushView, ReloadView
from excise.sources.base import State
from excise.supervise import Progress

#: the format of pushed records
RECORD = "record"


@dataclass(slots=True)
class Daemon:
    """Implements `excise.api.control.Control`, and reload for SIGHUP."""

    core: Core
    loops: Sequence[InputLoop]
    pushed: Decoder
    decoder: Callable[[str | Format, Config], Decoder]
    progress: Progress
    kernel: Executor
    started_ts: float
    config_path: Path | None
    reloading: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def engine(self) -> Engine:
        """The core, for reading."""
        return self.core.engine

    @property
    def tally(self) -> Tally:
        """Counts since start."""
        return self.core.tally

    @property
    def last_serial(self) -> int:
        """Serial of the newest event, 0 before the first."""
        return self.core.ledger.stream.last_serial

    def caught_up(self) -> bool:
        """Whether every input has been read to its end once, or cannot be read."""
        return all(loop.caught_up.is_set() for loop in self.loops)

    async def submit(self, *inputs: Input) -> list[Effect]:
        """Run operator inputs; return when stored and in the kernel."""
        for item in inputs:
            if isinstance(item, SetPosture) and item.posture is not Posture.OBSERVE:
                await self.open_kernel()
        return await self.core.operate(*inputs)

    async def open_kernel(self) -> None:
        """Take hold of the kernel. Raises RefusedError where that cannot be done."""
        loop = asyncio.get_running_loop()
        converger: Converger = self.core.reconciler.converger
        protected, ports = self.core.protected(), self.core.config.ports
        try:
            await loop.run_in_executor(self.kernel, converger.open, protected, ports)
        except EnforceError as error:
            raise RefusedError(f"cannot enforce on this host: {error}") from error

    async def push(self, lines: bytes) -> PushView:
        """Take records as NDJSON, as if they had been logged."""
        decoded = self.pushed.decode(lines.splitlines())
        await self.core.push(decoded.records)
        rejects = Rejects()
        rejects.count(decoded.rejects)
        return PushView(accepted=len(decoded.records), rejects=dict(rejects.by_reason))

    def inputs(self) -> list[InputView]:
        """Every input and how it stands."""
        return [loop.view() for loop in self.loops]

    def enforcer(self) -> EnforcerView:
        """The kernel side and how it stands."""
        return self.core.reconciler.view()

    def not_ready(self) -> list[str]:
        """Reasons why the daemon does not do its job now; empty when it does."""
        blind = [view for view in self.inputs() if view.state == State.BLIND]
        reasons = [f"input {view.name} is blind: {view.problem}" for view in blind]
        kernel = self.enforcer()
        if kernel.problem:
            reasons.append(f"enforcer {kernel.backend}: {kernel.problem}")
        elif not kernel.in_sync:
            reasons.append(f"enforcer {kernel.backend}: the kernel's set is being put right")
        if self.core.ledger.problem:
            reasons.append(f"store: {self.core.ledger.problem}")
        tripped = self.engine.status().tripped
        if tripped:
            reasons.append(f"governor: {tripped}")
        return reasons + [f"loop {name} is stuck" for name in self.progress.stuck()]

    async def events(self, after: int | None) -> AsyncIterator[tuple[int, Effect]]:
        """Yield (serial, effect) live; first those kept after serial `after`, if given."""
        ledger = self.core.ledger
        async for numbered in ledger.stream.follow(after, ledger.older):
            yield numbered

    async def reload(self) -> ReloadView:
        """Read configuration and rules again; keep the last good set on any error."""
        async with self.reloading:
            loop = asyncio.get_running_loop()
            loaded, errors = await loop.run_in_executor(None, load_all, self.config_path)
            view = refused(errors, len(self.engine.rulebook.rules))
            if loaded is not None:
                view = await self._put_in_force(loaded)
            self.tally.reloaded(applied=view.applied, ts=self.core.time.clock.wall())
        write = self.core.log.info if view.applied else self.core.log.error
        event = "reload.applied" if view.applied else "reload.refused"
        write(event, rules=view.rules, errors=view.errors, restart=view.restart)
        return view

    async def _put_in_force(self, loaded: Loaded) -> ReloadView:
        before = self.core.config
        config, restart = in_force(before, loaded.config)
        changed = config.posture is not before.posture
        if changed and config.posture is not Posture.OBSERVE:
            try:
                await self.open_kernel()
            except RefusedError as error:
                return refused((str(error),), len(self.engine.rulebook.rules))
        await self.core.configure(config, loaded.rulebook)
        if config.trusted_proxies != before.trusted_proxies:
            for loop in self.loops:
                loop.decoder = self.decoder(loop.format, config)
            self.pushed = self.decoder(RECORD, config)
        if changed:
            # A kernel that fails now is tried again and shows in the status: no matter of reload.
            with suppress(EnforceError):
                await self.core.operate(SetPosture(config.posture))
        return ReloadView(applied=True, rules=len(loaded.rulebook.rules), restart=restart)
