"""The two clocks of the daemon, and the engine's time while the log is silent."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Where the time comes from; tests bring their own."""

    def wall(self) -> float:
        """Epoch seconds."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump."""
        ...


class SystemClock:
    """The host's clocks."""

    def wall(self) -> float:
        """Epoch seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return time.monotonic()


@dataclass(slots=True)
class EngineTime:
    """Engine time between records: where the engine stands, plus what has passed since.

    Old lines fed to a live daemon thus meet the same clock as in a replay, and decisions still
    expire when nothing is logged. `now` is 0.0 until the engine has a clock.
    """

    clock: Clock
    stands_at: float = 0.0
    since: float = 0.0

    def resume(self, stored: float, wall: float) -> None:
        """Start where the daemon stopped: at engine time `stored`, when the wall said `wall`."""
        if stored > 0.0:
            down_s = max(0.0, self.clock.wall() - wall)
            self.stands_at, self.since = stored + down_s, self.clock.monotonic()

    def saw(self, engine_clock: float) -> None:
        """Note the engine's clock after a step."""
        if engine_clock != self.stands_at:
            self.stands_at, self.since = engine_clock, self.clock.monotonic()

    def now(self) -> float:
        """Return the engine time that a tick would stand for."""
        if self.stands_at <= 0.0:
            return 0.0
        return self.stands_at + (self.clock.monotonic() - self.since)
