"""One account's part in a group's numbers is bounded."""

import numpy as np

from excise.campaigns.evidence import MOST, distinct, pooled
from excise.features.conduct import AT, SUMS


def sums(*rows):
    out = np.zeros((len(rows), len(SUMS)))
    for row, numbers in zip(out, rows, strict=True):
        for name, value in numbers.items():
            row[AT[name]] = value
    return out


def test_a_heavy_account_counts_for_no_more_than_the_most_in_a_share():
    heavy = {"repeats": 10_000.0, "moved": 10_000.0}
    light = [{"repeats": 10.0, "moved": 0.0}] * 4
    share, amount = pooled(sums(heavy, *light), "repeats", "moved", np.zeros(5, dtype=int), 1)

    assert [MOST / (MOST + 40.0)] == share.tolist()
    assert [MOST + 40.0] == amount.tolist()


def test_things_are_counted_once_in_each_group():
    group, thing = np.array([0, 0, 0, 1, 1]), np.array([7, 7, 8, 7, 7])

    assert [2.0, 1.0, 0.0] == distinct(group, thing, 3).tolist()
