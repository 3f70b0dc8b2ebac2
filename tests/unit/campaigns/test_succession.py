"""Accounts that relieve each other are told from accounts that come and go as they like."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from excise.campaigns.succession import succession


def of_one(stays):
    first, last = (np.array(side, dtype=float) for side in zip(*stays, strict=True))
    spread, mean = succession(first, last, np.zeros(len(first), dtype=np.int64), 1)
    return float(spread[0]), float(mean[0])


@pytest.mark.parametrize(
    ("stays", "spread", "mean"),
    [
        ([(0, 10), (10, 20), (20, 30)], 0.0, 1.0),
        ([(0, 10), (20, 30)], 1 / 3, 2 / 3),
        ([(0, 10), (0, 10), (10, 20), (10, 20)], 0.0, 2.0),
        ([(0, 30), (0, 10), (0, 10)], 8 / 9 / (5 / 3), 5 / 3),
        ([(5, 5)], 1.0, 0.0),
    ],
    ids=["relieved", "with a gap", "two at a time", "a crowd at first", "no time"],
)
def test_the_spread_is_that_of_how_many_are_in_use(stays, spread, mean):
    assert (spread, mean) == pytest.approx(of_one(stays))


spans = st.tuples(st.integers(0, 1000), st.integers(1, 300)).map(lambda s: (s[0], s[0] + s[1]))


@given(st.lists(st.lists(spans, min_size=1, max_size=9), min_size=1, max_size=4))
def test_groups_do_not_touch_each_other(groups):
    of = np.repeat(np.arange(len(groups)), list(map(len, groups)))
    first, last = (
        np.array(side, dtype=float)
        for side in zip(*(s for group in groups for s in group), strict=True)
    )
    together = [column.tolist() for column in succession(first, last, of, len(groups))]

    alone = [of_one(group) for group in groups]
    assert [s for s, _ in alone] == pytest.approx(together[0], abs=1e-9)
    assert [m for _, m in alone] == pytest.approx(together[1], abs=1e-9)


@given(st.lists(spans, min_size=1, max_size=9))
def test_it_counts_as_one_who_looks_at_every_second_does(stays):
    begin, end = min(s for s, _ in stays), max(e for _, e in stays)
    counts = [sum(s <= t < e for s, e in stays) for t in range(begin, end)]

    assert (np.var(counts) / np.mean(counts), np.mean(counts)) == pytest.approx(
        of_one(stays), abs=1e-9
    )
