"""Distinct counts as bitmaps of two generations: the present 12 hours and the 12 before.

Linear counting (Whang, Vander-Zanden and Taylor, TODS 1990): with m bits of which u are set the
estimate is -m ln(1 - u/m). At m = 256 the error is 3 to 6 % between 1 and 1,000.
"""

from __future__ import annotations

from dataclasses import dataclass

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


def estimate(bits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return distinct counts by how many bits are set."""
    counts: NDArray[np.float64] = ESTIMATE[np.minimum(bits.astype(np.int64), BITS)]
    return counts


def slots(rows: Rows) -> Rows:
    """Hash element rows to bit positions 0..255, as if at random.

    Linear counting rests on collisions; rows are given out one after another, and a mere
    multiplication spreads such numbers too evenly: 300 would be estimated as 600.
    """
    mixed = rows.astype(np.uint64) * _GOLDEN
    mixed ^= mixed >> np.uint64(32)
    return ((mixed * _MIX) >> np.uint64(56)).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Elements:
    """What a distinct count sees in each record: a bit, as its number and as word and mask.

    `known` says where there is anything to count.
    """

    bit: Rows
    word: Rows
    mask: Words
    known: NDArray[np.bool_]

    def take(self, at: Rows) -> Elements:
        """Return those of some records, in that order."""
        return Elements(self.bit[at], self.word[at], self.mask[at], self.known[at])


def elements(bit: Rows, known: NDArray[np.bool_]) -> Elements:
    """Return elements by the number of their bit."""
    return Elements(bit, bit >> 6, np.uint64(1) << (bit & 63).astype(np.uint64), known)


class Sketch:
    """One distinct count for every row of a table."""

    def __init__(self, capacity: int, bits: int = BITS) -> None:
        self.words = bits // 64
        self.now: Words = np.zeros((capacity, self.words), dtype=np.uint64)
        self.before: Words = np.zeros((capacity, self.words), dtype=np.uint64)

    def mark(self, rows: Rows, seen: Elements) -> NDArray[np.float64]:
        """Set a bit per record; return 1.0 where that raised the row's count.

        Records of a row are in the order in which they were logged.
        """
        place = rows * self.words + seen.word
        now, before = self.now.reshape(-1), self.before.reshape(-1)
        raised = np.zeros(len(rows))
        at = np.flatnonzero(((now[place] & seen.mask) == 0) & seen.known)
        if not len(at):
            return raised
        place, mask = place[at], seen.mask[at]
        new = at[(before[place] & mask) == 0]
        keys = rows[new] * BITS + seen.bit[new]
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        first = np.ones(len(keys), dtype=bool)
        first[1:] = keys[1:] != keys[:-1]
        raised[new[order[first]]] = 1.0
        np.bitwise_or.at(now, place, mask)
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
