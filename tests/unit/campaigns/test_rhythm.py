"""Work around the clock is told from days with nights."""

import numpy as np
import pytest

from excise.campaigns.rhythm import flatness, longest_gap


def hours(*idle, count=5.0):
    """Return 48 hours with as many requests in each, but for those `idle` hours before now."""
    made = np.full((1, 48), count)
    made[0, [47 - back for back in idle]] = 0.0
    return made


@pytest.mark.parametrize(
    ("hourly", "expected"),
    [
        (hours(), 1.0),
        (np.zeros((1, 48)), 0.0),
        (np.eye(1, 48), 0.0),
        (np.tile(np.repeat([1.0, 0.0], 12), 2)[None, :], np.log(12) / np.log(24)),
    ],
    ids=["always", "never", "one hour", "half of the day"],
)
def test_flatness_is_the_entropy_of_the_hours_of_the_day(hourly, expected):
    assert [expected] == pytest.approx(flatness(hourly))


@pytest.mark.parametrize(
    ("hourly", "expected"),
    [
        (hours(), 0.0),
        (hours(0), 0.0),
        (hours(1), 1.0),
        (hours(3, 4, 5, 20), 3.0),
        (hours(24), 1.0),
        (hours(25, 26, 27), 0.0),
        (np.zeros((1, 48)), 24.0),
    ],
    ids=["none", "this hour", "the last", "three", "a day ago", "longer ago", "nobody"],
)
def test_the_longest_gap_is_that_of_the_day_before_this_hour(hourly, expected):
    assert [expected] == longest_gap(hourly).tolist()


def test_groups_are_measured_each_for_itself_and_none_gives_nothing():
    both = np.concatenate((hours(), hours(1, 2)))

    assert [0.0, 2.0] == longest_gap(both).tolist()
    assert (0, 0) == (len(flatness(np.zeros((0, 48)))), len(longest_gap(np.zeros((0, 48)))))
