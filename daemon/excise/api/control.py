"""The seam between the API and the daemon: what a handler may ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Protocol

from excise.api.tally import Tally
from excise.model.step import Effect, Input
from excise.model.view import DroppedView, EnforcerView, InputView, PushView, ReloadView

if TYPE_CHECKING:
    from excise.engine import Engine


class Control(Protocol):
    """The running daemon as the API sees it. All calls happen on the daemon's event loop."""

    @property
    def engine(self) -> Engine:
        """The core, for reading."""
        ...

    @property
    def started_ts(self) -> float:
        """Wall clock, epoch seconds, at which the daemon came up."""
        ...

    @property
    def tally(self) -> Tally:
        """Counts since start, for the metrics; the daemon counts every effect and reload in it."""
        ...

    @property
    def last_serial(self) -> int:
        """Serial of the newest event kept, 0 while none is kept."""
        ...

    async def submit(self, *inputs: Input) -> list[Effect]:
        """Run operator inputs through the core, store and enforce what follows.

        Returns when the kernel has acknowledged. Raises what `Engine.step` raises.
        """
        ...

    async def reload(self) -> ReloadView:
        """Read configuration and rules again; keep the last good set on any error."""
        ...

    async def push(self, lines: bytes) -> PushView:
        """Take records as NDJSON, as if they had been logged."""
        ...

    def inputs(self) -> list[InputView]:
        """Every input and how it stands."""
        ...

    def enforcer(self) -> EnforcerView:
        """The kernel side and how it stands."""
        ...

    def dropped(self, decision_id: str) -> DroppedView | None:
        """What was taken away from a decision's target, None where that is not counted."""
        ...

    def not_ready(self) -> list[str]:
        """Reasons why the daemon does not do its job now; empty when it does."""
        ...

    def events(self, after: int | None) -> AsyncIterator[tuple[int, Effect]]:
        """Yield (serial, effect) live; first those kept after serial `after`, if given.

        Serials count from 1 without a gap. A reader that falls too far behind is ended.
        """
        ...
