"""The running daemon as the control API sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from excise.api.tally import Tally
from excise.config import Config
from excise.daemon.converge import Converger
from excise.daemon.core import Core
from excise.daemon.gather import Gather
from excise.daemon.inputs import InputLoop
from excise.daemon.meter import Meter
from excise.daemon.pushed import Pushed
from excise.daemon.reload import Loaded, in_force, load_all, refused
from excise.daemon.silence import Silence
from excise.decode.base import Decoder
from excise.decode.registry import Format
from excise.engine import Engine
from excise.errors import EnforceError, RefusedError
from excise.model.decision import Posture
from excise.model.portguard import PortGuard
from excise.model.step import Effect, Input, SetPosture
from excise.model.view import DroppedView, EnforcerView, InputView, PushView, ReloadView
from excise.sources.base import State
from excise.supervise import Progress


@dataclass(slots=True)
class Daemon:
    """Implements `excise.api.control.Control`, and reload for SIGHUP."""

    core: Core
    loops: Sequence[InputLoop]
    gathers: Sequence[Gather]
    pushed: Pushed
    silence: Silence
    decoder: Callable[[str | Format, Config], Decoder]
    progress: Progress
    kernel: Executor
    meter: Meter
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
        looked = all(gather.looked for gather in self.gathers)
        return looked and all(loop.caught_up.is_set() for loop in self.loops)

    async def submit(self, *inputs: Input) -> list[Effect]:
        """Run operator inputs; return when stored and in the kernel."""
        for item in inputs:
            if isinstance(item, SetPosture) and item.posture is not Posture.OBSERVE:
                await self.open_kernel()
        return await self.core.operate(*inputs)

    async def open_kernel(self, guard: PortGuard | None = None) -> None:
        """Take hold of the kernel. Raises RefusedError where that cannot be done."""
        loop = asyncio.get_running_loop()
        converger: Converger = self.core.reconciler.converger
        protected, config = self.core.protected(), self.core.config
        hold = partial(converger.open, protected, config.ports, guard or config.guard)
        try:
            await loop.run_in_executor(self.kernel, hold)
        except EnforceError as error:
            raise RefusedError(f"cannot enforce on this host: {error}") from error

    async def push(self, lines: bytes) -> PushView:
        """Take records as NDJSON, as if they had been logged."""
        return await self.pushed.take(lines)

    def inputs(self) -> list[InputView]:
        """Every input and how it stands."""
        patterns = [view for gather in self.gathers if (view := gather.view())]
        return [*(loop.view() for loop in self.loops), *patterns, *self.pushed.views()]

    def enforcer(self) -> EnforcerView:
        """The kernel side and how it stands."""
        return self.meter.onto(self.core.reconciler.view())

    def dropped(self, decision_id: str) -> DroppedView | None:
        """What was taken away from a decision's target, None where that is not counted."""
        return self.meter.dropped(decision_id)

    def not_ready(self) -> list[str]:
        """Reasons why the daemon does not do its job now; empty when it does."""
        blind = [view for view in self.inputs() if view.state == State.BLIND]
        reasons = [f"input {view.name} is blind: {view.problem}" for view in blind]
        silent = self.silence.silent()
        reasons += [f"input {one.name} is silent: {one.silent}" for one in silent]
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
        enforcing = changed and config.posture is not Posture.OBSERVE
        guarding = config.guard != before.guard and bool(config.guard.ports)
        if enforcing or guarding:
            try:
                await self.open_kernel(config.guard)
            except RefusedError as error:
                return refused((str(error),), len(self.engine.rulebook.rules))
        await self.core.configure(config, loaded.rulebook)
        if config.trusted_proxies != before.trusted_proxies:
            for loop in self.loops:
                loop.decoder = self.decoder(loop.format, config)
            self.pushed.decoder = self.decoder(self.pushed.format, config)
        if changed:
            # A kernel that fails now is tried again and shows in the status: no matter of reload.
            with suppress(EnforceError):
                await self.core.operate(SetPosture(config.posture))
        return ReloadView(applied=True, rules=len(loaded.rulebook.rules), restart=restart)
