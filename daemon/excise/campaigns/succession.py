"""Whether accounts are used one after another, or all at their own times."""

from __future__ import annotations

import numpy as np

from excise.features.interner import Rows
from excise.features.state import Column


def succession(first: Column, last: Column, of: Rows, groups: int) -> tuple[Column, Column]:
    """Return per group how unevenly many members are in use at a time, and how many on average.

    Member i of group `of[i]` is in use from `first[i]` to `last[i]` (epoch seconds). The first
    number is the variance over the mean of how many are in use, over the time from the group's
    first use to its last: 1 where members come at random (a Poisson process, whatever their
    stay), more where they keep to a time of day, near 0 where one takes over from the other. A
    group without a span of time gets 1.
    """
    edges = np.concatenate((first, last))
    step = np.repeat([1.0, -1.0], len(first))
    group = np.concatenate((of, of))
    order = np.lexsort((-step, edges, group))
    edges, step, group = edges[order], step[order], group[order]
    # All who came have gone where a group ends, so one running sum serves all groups.
    inside = np.cumsum(step)[:-1]
    lasts = np.where(group[1:] == group[:-1], np.diff(edges), 0.0)
    within = group[:-1]
    total, sums, squares = (
        np.bincount(within, weights * lasts, groups)
        for weights in (np.ones(len(inside)), inside, inside * inside)
    )
    mean = sums / np.maximum(total, 1e-9)
    variance = squares / np.maximum(total, 1e-9) - mean * mean
    return np.where(mean > 0, variance / np.maximum(mean, 1e-9), 1.0), mean
