"""One input: read what has arrived, decode it, feed the core; say how it stands.

An input that cannot be read is blind: an alarm, a state, and another try; never the end of the
daemon.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from excise.daemon.clock import Clock
from excise.daemon.core import Core
from excise.decode.base import Decoder
from excise.errors import SourceError
from excise.model.record import Decoded, Reject
from excise.model.view import InputView
from excise.sources.base import Chunk, Source

STARTING, FOLLOWING, BLIND, ENDED = "starting", "following", "blind", "ended"
#: a wake-up that comes sooner after the one before waits, so that a busy log is read in batches
BUSY_S = 0.010
COALESCE_S = 0.003
#: the longest sleep on a silent log: a missed wake-up costs no more
LOOK_S = 1.0
RETRY_S = 1.0
#: distinct reasons counted by name; there are few, and none may grow with the input
MOST_REASONS = 64
OTHER = "other"


@dataclass(slots=True)
class Rejects:
    """Rejected lines by reason, bounded."""

    by_reason: Counter[str] = field(default_factory=Counter)

    def count(self, rejects: Iterable[Reject]) -> None:
        """Count each."""
        for reject in rejects:
            known = reject.reason in self.by_reason or len(self.by_reason) < MOST_REASONS
            self.by_reason[reject.reason if known else OTHER] += 1


@dataclass(slots=True)
class InputLoop:
    """Follows one source. `caught_up` is set once nothing is left to read, or nothing can be."""

    name: str
    source: Source
    decoder: Decoder
    core: Core
    clock: Clock
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    state: str = STARTING
    problem: str = ""
    lines: int = 0
    records: int = 0
    lag_bytes: int = 0
    unknown_fields: int = 0
    last_line_ts: float | None = None
    rejects: Rejects = field(default_factory=Rejects)
    caught_up: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, beat: Callable[[], None]) -> None:
        """Follow the source until it ends."""
        woken_s = self.clock.monotonic() - BUSY_S
        while self.state != ENDED:
            beat()
            read = await self._read()
            if read:
                continue
            self.caught_up.set()
            await self._wait()
            if self.clock.monotonic() - woken_s < BUSY_S:
                await self.sleep(COALESCE_S)
            woken_s = self.clock.monotonic()

    def view(self) -> InputView:
        """Return how the input stands."""
        return InputView(
            name=self.name,
            format=self.decoder.name,
            state=self.state,
            position=self.source.cursor.position(),
            lag_bytes=self.lag_bytes,
            lines=self.lines,
            records=self.records,
            rejects=dict(self.rejects.by_reason),
            unknown_fields=self.unknown_fields,
            last_line_ts=self.last_line_ts,
            problem=self.problem,
        )
