"""The permutation test of a trial: what it does not depend on, and its level."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from excise.campaigns.marks import WINDOWS
from excise.campaigns.trial import Arm, evaluate, permuted

TIMES = 199


@st.composite
def arms(draw, fewest=6, most=25):
    """Draw accounts of two strata with any counts, at least two in each."""
    n = draw(st.integers(fewest, most))
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rates = np.exp(chance.normal(draw(st.floats(0.0, 3.0)), 0.5, n))
    counted = chance.poisson(rates[:, None] * np.ones(WINDOWS + 1)).astype(float)
    return Arm(counted[:, :WINDOWS], counted[:, WINDOWS], np.arange(n) % 2)


def shuffled(arm, seed):
    order = np.random.default_rng(seed).permutation(len(arm.during))
    return Arm(arm.before[order], arm.during[order], arm.stratum[order])


@given(rest=arms(), controls=arms(), seed=st.integers(0, 2**64 - 1))
def test_a_p_is_a_probability_that_so_many_permutations_can_say(rest, controls, seed):
    p = permuted(rest, controls, seed, TIMES)

    assert 1 / (1 + TIMES) <= p <= 1.0
    assert round(p * (1 + TIMES)) == pytest.approx(p * (1 + TIMES))


@given(rest=arms(), controls=arms(), seed=st.integers(0, 2**64 - 1), order=st.integers(0, 99))
def test_the_order_of_accounts_does_not_matter(rest, controls, seed, order):
    again = permuted(shuffled(rest, order), shuffled(controls, order + 1), seed, TIMES)

    assert permuted(rest, controls, seed, TIMES) == again


@given(rest=arms(), controls=arms(), seed=st.integers(0, 2**64 - 1), by=st.sampled_from([2, 4, 8]))
def test_what_multiplies_everybody_s_requests_does_not_matter(rest, controls, seed, by):
    risen = [Arm(arm.before, arm.during * by, arm.stratum) for arm in (rest, controls)]

    assert permuted(rest, controls, seed, TIMES) == permuted(*risen, seed, TIMES)


@given(rest=arms(20, 40), controls=arms(40, 60), slowed=arms(), seed=st.integers(0, 2**64 - 1))
def test_any_counts_give_a_measure_or_a_reason(rest, controls, slowed, seed):
    found = evaluate(rest, controls, slowed, seed)

    assert 0.0 < found.p <= 1.0
    assert not found.void or 1.0 == found.p
    assert np.isfinite([found.gained, found.lost, found.kept]).all()


@hypothesis_settings(max_examples=3)
@given(first=st.integers(0, 10_000), rise=st.sampled_from([1.0, 4.0]))
def test_among_people_of_one_kind_few_are_found_though_one_side_asks_in_bursts(first, rise):
    """So many false alarms as the level says, and by chance hardly three times as many."""
    found, trials = 0, 120
    for seed in range(first, first + trials):
        chance = np.random.default_rng(seed)
        profile = np.append(np.ones(WINDOWS), rise)
        even = chance.poisson(8.0 * profile, (40, WINDOWS + 1)).astype(float)
        awake = chance.random((80, WINDOWS + 1)) < 0.25
        bursts = chance.poisson(32.0 * awake * profile).astype(float)
        rest, controls = (
            Arm(c[:, :WINDOWS], c[:, WINDOWS], np.zeros(len(c), dtype=np.int64))
            for c in (even, bursts)
        )
        found += permuted(rest, controls, seed, TIMES) <= 0.05

    assert found <= 3 * 0.05 * trials
