"""Sums over groups of accounts: the pooled numbers, each account's part in them bounded.

One account can hold at most `MOST` requests' worth of a share, so that a heavy tenant under a
template that many use neither makes the template look like a fleet's nor hides a fleet under it.
"""

from __future__ import annotations

import numpy as np

from excise.features.conduct import AT
from excise.features.interner import Rows
from excise.features.state import Column, Matrix

#: most requests of one account that count in a pooled share
MOST = 20.0


def added(group: Rows, values: Column | None, groups: int) -> Column:
    """Return sums of values per group; of ones where there are none."""
    return np.bincount(group, values, groups).astype(np.float64)


def capped(sums: Matrix, by: str) -> Matrix:
    """Scale rows of sums down to at most `MOST` of the quantity `by`."""
    n = sums[:, AT[by]]
    scale: Matrix = sums * np.minimum(1.0, MOST / np.maximum(n, 1e-9))[:, None]
    return scale


def pooled(sums: Matrix, by: str, part: str, group: Rows, groups: int) -> tuple[Column, Column]:
    """Return per group the share that `part` is of `by`, and the amount of `by` it rests on."""
    bounded = capped(sums, by)
    whole = added(group, bounded[:, AT[by]], groups)
    some = added(group, bounded[:, AT[part]], groups)
    return some / np.maximum(whole, 1e-9), whole


def distinct(group: Rows, thing: Rows, groups: int) -> Column:
    """Return per group how many distinct things it holds."""
    if not len(group):
        return np.zeros(groups)
    order = np.lexsort((thing, group))
    g, t = group[order], thing[order]
    first = np.ones(len(g), dtype=bool)
    first[1:] = (g[1:] != g[:-1]) | (t[1:] != t[:-1])
    return added(g[first], None, groups)


def summed(group: Rows, rows: Matrix, groups: int) -> Matrix:
    """Return the sums of rows per group, shape (groups, columns of rows)."""
    sums = np.zeros((groups, rows.shape[1]))
    if len(group):
        order = np.argsort(group, kind="stable")
        numbers, starts = np.unique(group[order], return_index=True)
        sums[numbers] = np.add.reduceat(rows[order], starts, axis=0)
    return sums
