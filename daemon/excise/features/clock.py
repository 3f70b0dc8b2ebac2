"""The event clock: time as the records tell it, proof against lines that lie about it.

The clock is the newest believable time stamp. A line a little late keeps its own time; a line
far late is taken as just within the tolerance. A line far ahead is not believed alone: only when
`WITNESSES` lines in a row agree that it is later does the clock move there. So one forged or
broken line neither wipes (decays away) nor freezes the state, and a host whose clock was set
right, or that was quiet for a night, is followed after a handful of lines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WITNESSES = 4
Times = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stamped:
    """Per record: the time its own numbers count at, and the clock after it (never falling).

    Where the clock jumps the arrays end with the record that proved it, and `taken` says how many
    were stamped; `stepped_back_s` is how far that record set the clock back.
    """

    ts: Times
    clock: Times
    taken: int
    stepped_back_s: float = 0.0


class EventClock:
    """Owns the clock and the witnesses of a jump."""

    def __init__(self, late_tolerance_s: float, jump_tolerance_s: float) -> None:
        self._late_s, self._jump_s = late_tolerance_s, jump_tolerance_s
        self.now = 0.0
        self.late = 0
        self.jumps = 0
        self._claimed = 0.0
        self._witnesses = 0

    def stamp(self, raw: Times) -> Stamped:
        """Stamp records in order, `raw` being their own epoch seconds, shape (n,)."""
        if self.now == 0.0 and len(raw):
            self.now = float(raw[0])
        clock = np.maximum.accumulate(np.concatenate(([self.now], raw)))
        ahead = raw - clock[:-1]
        if self._witnesses == 0 and len(raw) and self._plain(ahead):
            self.now = float(clock[-1])
            return Stamped(raw, clock[1:], len(raw))
        return self._stamp_slowly(raw)

    def _plain(self, ahead: Times) -> bool:
        return bool(ahead.max() <= self._jump_s and ahead.min() >= -self._late_s)

    def _stamp_slowly(self, raw: Times) -> Stamped:
        ts, clock = np.empty_like(raw), np.empty_like(raw)
        for i, t in enumerate(raw.tolist()):
            before, jumps = self.now, self.jumps
            ts[i] = self._believe(t)
            clock[i] = self.now
            if self.jumps > jumps:
                back_s = max(0.0, before - self.now)
                return Stamped(ts[: i + 1], clock[: i + 1], i + 1, back_s)
        return Stamped(ts, clock, len(raw))

    def _believe(self, t: float) -> float:
        """Return the time a record counts at, moving the clock if it may."""
        if -self._late_s <= t - self.now <= self._jump_s:
            self._witnesses = 0
            self.now = max(self.now, t)
            return t
        claimed, ahead = self._claimed, t > self.now
        agrees = t >= claimed - self._late_s and (ahead or t <= claimed + self._jump_s)
        same_side = ahead == (claimed > self.now)
        self._witnesses = self._witnesses + 1 if self._witnesses and agrees and same_side else 1
        self._claimed = t
        if self._witnesses >= WITNESSES:
            self._witnesses = 0
            self.jumps += 1
            self.now = min(t, claimed)  # what the witness before said too: never one line's word
            return self._believe(t) if t != self.now else t
        self.late += t < self.now
        return max(min(t, self.now), self.now - self._late_s)
