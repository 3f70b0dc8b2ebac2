"""Distinct counts as bitmaps of two generations: the present 12 hours and the 12 before.

Linear counting (Whang, Vander-Zanden and Taylor, TODS 1990): with m bits of which u are set the
estimate is -m ln(1 - u/m). At m = 256 the error is 3 to 6 % between 1 and 1,000.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BITS = 256
HOURS = 64  # one word; hours of the day need 24 bits of it and are exact
Rows = NDArray[np.int64]
Words = NDArray[np.uint64]
#: estimate by number of set bits; a full map says "at least this many"
ESTIMATE: NDArray[np.float64] = -BITS * np.log1p(-np.minimum(np.arange(BITS + 1), BITS - 1) / BITS)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xD6E8FEB86659FD93)


def slots(rows: Rows) -> Rows:
    """Hash element rows to bit positions 0..255, as if at random.

    Linear counting rests on collisions; rows are given out one after another, and a mere
    multiplication spreads such numbers too evenly: 300 would be estimated as 600.
    """
    mixed = rows.astype(np.uint64) * _GOLDEN
    mixed ^= mixed >> np.uint64(32)
    return ((mixed * _MIX) >> np.uint64(56)).astype(np.int64)


class Sketch:
    """One distinct count for every row of a table."""

    def __init__(self, capacity: int, bits: int = BITS) -> None:
        self.words = bits // 64
        self.now: Words = np.zeros((capacity, self.words), dtype=np.uint64)
        self.before: Words = np.zeros((capacity, self.words), dtype=np.uint64)

    def mark(self, rows: Rows, bit: Rows, known: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Set a bit per record; return 1.0 where that raised the row's count, in record order."""
        word, mask = bit >> 6, np.uint64(1) << (bit & 63).astype(np.uint64)
        now = self.now[rows, word]
        unset = ((now & mask) == 0) & known
        raised = np.zeros(len(rows))
        if not unset.any():
            return raised
        at = np.flatnonzero(unset)
        counted = (self.before[rows[at], word[at]] & mask[at]) != 0
        new = at[~counted]
        _, first = np.unique(rows[new] * BITS + bit[new], return_index=True)
        raised[new[first]] = 1.0
        np.bitwise_or.at(self.now, (rows[at], word[at]), mask[at])
        return raised

    def turn(self, used: int) -> NDArray[np.float64]:
        """Begin a new generation; return the count of set bits of the first `used` rows."""
        self.before, self.now = self.now, self.before
        self.now[:used] = 0
        counts: NDArray[np.float64] = np.bitwise_count(self.before[:used]).sum(axis=1, dtype=float)
        return counts

    def clear(self, rows: Rows) -> None:
        """Forget rows."""
        self.now[rows] = 0
        self.before[rows] = 0
