"""How long TLS handshakes of clients take beside the round trip of their connections.

A handshake goes as far as the TLS session does; the kernel's round trip ends where the connection
does. Where the first is many times the second, somebody stands in between and passes on what the
client says. Loss, a busy client and a late first packet make single handshakes long, so what
counts is the least of several.

Times are whole microseconds: the least of integers is the same wherever records are cut.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from excise.features.interner import Rows

Column = NDArray[np.float64]
#: whole microseconds, or counts
Whole = NDArray[np.int64]
Kept = NDArray[np.int32]
#: columns of what is kept: the least of each time, 0 where none was told, and of how many
RTT, HANDSHAKE, COUNT = range(3)
US_PER_S = 1e6
#: a longer time is taken as this: nobody is so far away
LONGEST_US = 1 << 26
#: more than any time, by which the times of one row are told from those of the next
APART = 1 << 27
#: handshakes that a least one takes to say anything
FEWEST = 5


def timed(rtt: Column, handshake: Column, direct: Column) -> Whole | None:
    """Return the times of records, shape (n, 2), 0 where they do not count; None if none does.

    Records tell -1 for what is not known. Only both of one connection can be compared, and only
    where the connection is the client's own: otherwise they are those of a proxy in front.
    """
    told = np.flatnonzero((rtt > 0) & (handshake > 0) & (direct > 0))
    if not len(told):
        return None
    times: Whole = np.zeros((len(rtt), 2), dtype=np.int64)
    for column, seconds in ((RTT, rtt), (HANDSHAKE, handshake)):
        us = np.rint(np.minimum(seconds[told], LONGEST_US / US_PER_S) * US_PER_S)
        times[told, column] = np.clip(us, 1, LONGEST_US)
    return times


class Handshakes:
    """Owns the least times of each client, of this generation and the one before.

    Nothing is touched, and no memory taken, before the first record tells any; `_top` is behind
    the last row that has told some.
    """

    def __init__(self, capacity: int) -> None:
        self.now: Kept = np.zeros((capacity, 3), dtype=np.int32)
        self.before: Kept = np.zeros((capacity, 3), dtype=np.int32)
        self._top = 0

    def see(self, rows: Rows, starts: Rows, times: Whole) -> Whole:
        """Take in the times of records sorted by row; return what is known after each.

        `starts`: where the rows change. Shape (n, 3): least round trip, least handshake, how many.
        """
        heads, counts = rows[starts], np.diff(np.append(starts, len(rows)))
        known = np.empty((len(rows), 3), dtype=np.int64)
        for column in (RTT, HANDSHAKE):
            known[:, column] = _least(times[:, column], self.now[heads, column], starts, counts)
        told = np.cumsum(times[:, RTT] > 0)
        earlier = told[starts] - (times[starts, RTT] > 0) - self.now[heads, COUNT]
        known[:, COUNT] = np.minimum(told - np.repeat(earlier, counts), LONGEST_US)
        self.now[heads] = known[starts + counts - 1]
        self._top = max(self._top, int(heads[-1]) + 1)
        return _either(known, self.before[rows])

    def at(self, rows: Rows) -> Whole:
        """Return what is known of rows, shape (n, 3) as in `see`."""
        if not self._top:
            return none(rows)
        return _either(self.now[rows].astype(np.int64), self.before[rows])

    # Housekeeping

    def turn(self) -> None:
        """Begin a new generation."""
        self.before[: self._top] = self.now[: self._top]
        self.now[: self._top] = 0

    def clear(self, rows: Rows) -> None:
        """Forget rows."""
        if self._top:
            self.now[rows] = self.before[rows] = 0

    def dump(self) -> dict[str, NDArray[np.generic]]:
        """Return the state as arrays."""
        return {
            "handshakes.now": self.now[: self._top],
            "handshakes.before": self.before[: self._top],
        }

    def load(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Load what `dump` returned."""
        self._top = len(arrays["handshakes.now"])
        self.now[: self._top] = arrays["handshakes.now"]
        self.before[: self._top] = arrays["handshakes.before"]


def none(rows: Rows) -> Whole:
    """Return that nothing is known of rows."""
    return np.zeros((len(rows), 3), dtype=np.int64)


def _least(times: Whole, base: Kept, starts: Rows, counts: Rows) -> Whole:
    """Return the least time up to each record, 0 where there is none; `base` by row.

    The rows, one after another, are moved apart so far downwards that what runs on from one row
    into the next is more than anything there: one pass then does for all of them.
    """
    least = np.where(times > 0, times, LONGEST_US + 1)
    least[starts] = np.minimum(least[starts], np.where(base > 0, base, LONGEST_US + 1))
    apart = np.repeat(np.arange(len(starts)) * APART, counts)
    least = np.minimum.accumulate(least - apart) + apart
    least[least > LONGEST_US] = 0
    return least


def _either(now: Whole, before: Kept) -> Whole:
    """Return what two generations know together."""
    both: Whole = np.maximum(now, before)
    known = (now[:, COUNT] > 0) & (before[:, COUNT] > 0)
    both[known, :COUNT] = np.minimum(now[known, :COUNT], before[known, :COUNT])
    both[:, COUNT] = now[:, COUNT] + before[:, COUNT]
    return both


# Features, of what is known: milliseconds and ratios, 0 where too few handshakes say anything


def _known(known: Whole, column: int) -> Column:
    return np.where(known[:, COUNT] >= FEWEST, known[:, column] / 1e3, 0.0)


def count(known: Whole) -> Column:
    """Return how many handshakes are known."""
    return known[:, COUNT].astype(np.float64)


def rtt_ms(known: Whole) -> Column:
    """Return the least round trip."""
    return _known(known, RTT)


def handshake_ms(known: Whole) -> Column:
    """Return the least handshake."""
    return _known(known, HANDSHAKE)


def beyond_ms(known: Whole) -> Column:
    """Return how much longer the least handshake is than the least round trip."""
    return np.maximum(_known(known, HANDSHAKE) - _known(known, RTT), 0.0)


def ratio(known: Whole) -> Column:
    """Return the least handshake in least round trips."""
    return _known(known, HANDSHAKE) / np.maximum(_known(known, RTT), 1e-3)
