"""The statistics of a trial: what it finds, what it does not, and when it says nothing."""

import numpy as np
import pytest

from excise.campaigns.marks import WINDOWS
from excise.campaigns.trial import (
    LEAST_CONTROLS,
    LEAST_STRENGTH,
    NEXT,
    PERMUTATIONS,
    SPREAD,
    Arm,
    evaluate,
    matched,
    permuted,
    strata,
    strength,
    student,
)

EVENLY = np.ones(WINDOWS + 1)


def last(factor):
    """Return a profile that changes with the trial."""
    return np.append(np.ones(WINDOWS), factor)


@pytest.fixture
def chance():
    return np.random.default_rng(11)


@pytest.fixture
def arm(chance):
    """Make accounts of one rate (requests in a window) that follow a profile."""

    def make(n, profile=EVENLY, rate=20.0, spread=0.0):
        rates = rate * np.exp(chance.normal(0.0, spread, n))
        counted = chance.poisson(rates[:, None] * profile).astype(float)
        return Arm(counted[:, :WINDOWS], counted[:, WINDOWS], strata(rates * 48.0))

    return make


def test_a_straight_line_goes_on():
    assert 10.0 + 3.0 * WINDOWS == pytest.approx(float((10.0 + 3.0 * np.arange(WINDOWS)) @ NEXT))
    assert 1.3788 == pytest.approx(SPREAD, abs=1e-4)


@pytest.mark.parametrize(
    ("t", "degrees", "expected"),
    [
        (0.0, 10, 0.5),
        (1.812, 10, 0.05),
        (2.764, 10, 0.01),
        (4.144, 10, 0.001),
        (-2.228, 10, 0.975),
        (2.920, 2, 0.05),
    ],
)
def test_student_s_t_is_as_in_tables(t, degrees, expected):
    assert expected == pytest.approx(student(t, degrees), rel=2e-3)


def test_strata_are_octaves_and_who_asked_hardly_anything_is_in_none():
    assert [-99, -1, 0, 3, 3, 4] == strata(np.array([0.4, 0.5, 1.0, 8.0, 15.9, 16.0])).tolist()


def test_who_has_nobody_of_a_similar_rate_beside_is_not_compared(arm):
    rest, controls = matched(arm(30), arm(40, rate=300.0))

    assert (0, 0) == (len(rest.during), len(controls.during))
    assert evaluate(arm(30), arm(40, rate=300.0), arm(9), 1).void.startswith("too few accounts")
    assert 0.0 == strength(arm(30), arm(40, rate=300.0), np.full(9, 20.0))
    few = arm(LEAST_CONTROLS - 1)
    assert evaluate(arm(30), few, arm(9), 1).void.startswith("too few accounts")


def test_what_moves_to_the_rest_is_found_with_its_amount(arm):
    found = evaluate(arm(160, last(1.25)), arm(300), arm(40, last(0.0)), 1)

    assert "" == found.void
    assert 1 / (1 + PERMUTATIONS) == found.p
    assert 800.0 == pytest.approx(found.gained, rel=0.3)
    assert 800.0 == pytest.approx(found.lost, rel=0.1)
    assert 0.0 == found.kept


@pytest.mark.parametrize(
    "profile",
    [EVENLY, last(4.0), last(0.3), 1.05 ** np.arange(WINDOWS + 1)],
    ids=["even", "launch", "outage", "morning"],
)
def test_what_everybody_does_is_not_found(arm, profile):
    slowed = arm(40, profile * last(0.1))
    found = evaluate(arm(160, profile), arm(300, profile, spread=0.3), slowed, 1)

    assert "" == found.void
    assert found.p > 0.01


def test_a_group_that_wobbles_by_itself_is_not_found(arm, chance):
    own = 1.0 + 0.25 * np.tile([1.0, -1.0], WINDOWS)[: WINDOWS + 1]
    found = evaluate(arm(400, own), arm(800), arm(100, own * last(0.1)), 1)

    assert "" == found.void
    assert found.p > 0.01


def test_a_group_with_a_morning_of_its_own_is_not_found(arm):
    own = 1.0 + 0.03 * np.arange(WINDOWS + 1)
    found = evaluate(arm(400, own), arm(800), arm(100, own * last(0.1)), 1)

    assert "" == found.void
    assert found.p > 0.01


@pytest.mark.parametrize(
    ("rest", "slowed", "why"),
    [
        (1.2, 1.0, "the accounts were not slowed: they had 10"),
        (1.2, 0.8, "the accounts were not slowed"),
        (3.0, 0.2, "it has grown itself"),
    ],
)
def test_a_trial_that_cannot_be_told_from_another_cause_says_nothing(arm, rest, slowed, why):
    found = evaluate(arm(160, last(rest)), arm(300), arm(40, last(slowed)), 1)

    assert why in found.void
    assert 1.0 == found.p


def test_slowed_accounts_that_would_have_asked_for_nothing_say_nothing(arm):
    found = evaluate(arm(160), arm(300), arm(2, last(0.0), rate=2.0), 1)

    assert "would have asked for too little" in found.void


def test_controls_that_were_silent_say_nothing(arm):
    silent = np.append(np.zeros(1), np.ones(WINDOWS))

    assert "silent" in evaluate(arm(160), arm(300, silent), arm(40, last(0.1)), 1).void
    assert 0.0 == strength(arm(160), arm(300, silent), np.full(40, 20.0))


def test_the_power_of_five_thousand_slow_accounts_is_as_the_docstring_says(arm):
    rate, slowed = 26 / 48, 750
    many = strength(arm(4250, rate=rate), arm(40_000, rate=rate), np.full(slowed, rate))

    assert 4.8 == pytest.approx(many, rel=0.15)
    assert many > LEAST_STRENGTH > strength(arm(425, rate=rate), arm(4_000), np.full(75, rate))


def test_the_same_seed_gives_the_same_permutations(arm):
    rest, controls = arm(30, last(1.1)), arm(60)

    assert permuted(rest, controls, 5, 499) == permuted(rest, controls, 5, 499)
    assert permuted(rest, controls, 5, 499) != permuted(rest, controls, 6, 499)


def test_where_nothing_differs_nothing_is_found():
    same = Arm(np.ones((9, WINDOWS)), np.ones(9), np.zeros(9, dtype=np.int64))

    assert 1.0 == permuted(same, same, 1, 99)
