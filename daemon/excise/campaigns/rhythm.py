"""How evenly a group is at work around the clock: programs do not sleep."""

from __future__ import annotations

import numpy as np

from excise.features.state import Column, Matrix

DAY_H = 24


def flatness(hourly: Matrix) -> Column:
    """Return the entropy of requests over the hours of the day, over its most (ln 24).

    `hourly`, shape (groups, hours), is requests by hour, some multiple of 24 of them: 1 where all
    hours of the day have the same, 0 where one has all, or none has any.
    """
    by_hour = hourly.reshape(len(hourly), hourly.shape[1] // DAY_H, DAY_H).sum(axis=1)
    share = by_hour / np.maximum(by_hour.sum(axis=1, keepdims=True), 1.0)
    logs = np.log(share, out=np.zeros_like(share), where=share > 0)
    entropy: Column = -(share * logs).sum(axis=1) / np.log(DAY_H)
    return np.maximum(entropy, 0.0)


def longest_gap(hourly: Matrix) -> Column:
    """Return the longest run of whole hours without a request in the day before the current hour.

    The last column of `hourly` is the current hour, which is not over. 0 says that no pause was of
    two hours, and that the group has been known for a day; 1 that none was of three.
    """
    idle = hourly[:, -DAY_H - 1 : -1] == 0
    run, longest = np.zeros(len(hourly)), np.zeros(len(hourly))
    for hour in idle.T:
        run = np.where(hour, run + 1.0, 0.0)
        longest = np.maximum(longest, run)
    return longest
