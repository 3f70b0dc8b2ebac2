"""Histograms of a group and of everybody else are compared, no account counting too much."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from excise.campaigns.divergence import MOST, divergence

CELLS = 4


def grid(*counts):
    return np.array([*counts, *[0.0] * (CELLS - len(counts))])


def of_one(members, others):
    grids, rest = np.array(members), np.array(others).reshape(-1, CELLS)
    bits, answers = divergence(grids, np.zeros(len(grids), dtype=np.int64), 1, rest)
    return float(bits[0]), float(answers[0])


@pytest.mark.parametrize(
    ("members", "others", "expected"),
    [
        ([grid(50)] * 4, [grid(100)] * 10, (0.0, 200.0)),
        ([grid(50)] * 4, [grid(0, 100)] * 10, (1.0, 200.0)),
        ([grid(50)] * 4, [grid(50, 50)] * 10, (0.311278, 200.0)),
        ([grid(50)] * 4, [grid(0, 100)] * 9, (0.0, 200.0)),
        ([grid(50)] * 4, [grid(100)] * 10 + [grid(0, 1e6)], (0.046516, 200.0)),
        ([grid(1e6)], [grid(100)] * 10, (0.0, MOST)),
        ([grid(0)] * 4, [grid(100)] * 10, (0.0, 0.0)),
    ],
    ids=["alike", "apart", "half", "few others", "a heavy other", "a heavy member", "none"],
)
def test_divergence_is_that_of_jensen_and_shannon(members, others, expected):
    assert expected == pytest.approx(of_one(members, others), abs=1e-3)


@given(st.lists(st.lists(st.integers(0, 300), min_size=CELLS, max_size=CELLS), min_size=1))
def test_divergence_is_between_nothing_and_a_bit(counts):
    bits, _ = of_one(np.array(counts, dtype=float), [grid(30, 40, 20, 10)] * 12)

    assert 0.0 <= bits <= 1.0
