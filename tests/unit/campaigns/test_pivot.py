"""A group that leaves for a new model is told from a launch day, and from one heavy account."""

import numpy as np
import pytest

from excise.campaigns.pivot import LEAST_OTHERS, pivot

STAY, MOVE = (0.0, 100.0), (100.0, 100.0)


def of_one(members, others):
    fresh, recent = np.array([*members, *others]).T
    of = np.array([0] * len(members) + [-1] * len(others))
    return float(pivot(fresh, recent, of, 1)[0])


@pytest.mark.parametrize(
    ("members", "others", "expected"),
    [
        ([MOVE] * 6, [STAY] * 30, 1.0),
        ([MOVE] * 6, [MOVE] * 30, 0.0),
        ([MOVE] * 6, [MOVE] * 15 + [STAY] * 15, 0.5),
        ([MOVE] * 6, [MOVE] * 29 + [(0.0, 1e6)], 1 / 30),
        ([STAY] * 5 + [(1e6, 1e6)], [STAY] * 30, 1 / 6),
        ([STAY] * 6, [MOVE] * 30, 0.0),
        ([MOVE] * 6, [STAY] * (LEAST_OTHERS - 1), 0.0),
        ([MOVE] * 6, [(0.0, 0.0)] * 30, 0.0),
    ],
    ids=[
        "alone",
        "a launch day",
        "half of the others too",
        "a heavy tenant stays",
        "one heavy member moves",
        "only the others",
        "hardly any others",
        "others that took nothing",
    ],
)
def test_a_pivot_is_what_a_group_does_more_than_others(members, others, expected):
    assert expected == pytest.approx(of_one(members, others))
