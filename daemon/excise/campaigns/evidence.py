"""Sums over groups of accounts: the pooled numbers, each account's part in them bounded.

One account can hold at most `MOST` requests' worth of a share, so that a heavy tenant under a
template that many use neither makes the template look like a fleet's nor hides a fleet under it.
"""

from __future__ import annotations

import numpy as np

from excise.features.interner import Rows
from excise.features.state import Column, Matrix
from excise.features.values import Bools

#: most requests of one account that count in a pooled share
MOST = 20.0
#: numbers that differ by less share a word with a group's
WIDE = 1 << 32
#: 2^64 over the golden ratio
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def added(group: Rows, values: Column | None, groups: int) -> Column:
    """Return sums of values per group; of ones where there are none."""
    return np.bincount(group, values, groups).astype(np.float64)


def pooled(whole: Column, part: Column, group: Rows, groups: int) -> tuple[Column, Column]:
    """Return per group the share that `part` is of `whole`, and how much of that it rests on.

    Both are sums of accounts, and are scaled down to where `whole` is `MOST`.
    """
    scale = np.minimum(1.0, MOST / np.maximum(whole, 1e-9))
    amount = added(group, whole * scale, groups)
    return added(group, part * scale, groups) / np.maximum(amount, 1e-9), amount


def unique(keys: Rows) -> Rows:
    """Return the distinct keys in order, as `np.unique` does.

    That hashes since NumPy 2.3, and takes sixteen times as long for a million keys.
    """
    ordered = np.sort(keys)
    first = np.ones(len(ordered), dtype=bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first]


def distinct(group: Rows, thing: Rows, groups: int) -> Column:
    """Return per group how many distinct things it holds."""
    if not len(group):
        return np.zeros(groups)
    least = int(thing.min())
    if int(thing.max()) - least >= WIDE:  # hashes: number them
        _, thing = np.unique(thing, return_inverse=True)
        least = 0
    return added(unique(group << 32 | (thing - least)) >> 32, None, groups)


def repeated(things: Rows, least: int) -> Bools:
    """Say which things may be there at least so many times: all that are, and a few others.

    They are counted by a few bits of their hash (multiplicative, Knuth), which takes no sorting.
    """
    bits = max(8, len(things).bit_length())
    hashed = things.view(np.uint64) * GOLDEN >> np.uint64(64 - bits)
    bucket = hashed.view(np.int64)
    found: Bools = np.bincount(bucket, minlength=1)[bucket] >= least
    return found


def summed(group: Rows, rows: Matrix, groups: int) -> Matrix:
    """Return the sums of rows per group, shape (groups, columns of rows)."""
    sums = np.zeros((groups, rows.shape[1]))
    if len(group):
        order = np.argsort(group, kind="stable")
        numbers, starts = np.unique(group[order], return_index=True)
        sums[numbers] = np.add.reduceat(rows[order], starts, axis=0)
    return sums
