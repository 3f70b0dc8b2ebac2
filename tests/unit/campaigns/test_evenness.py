"""Loads that a scheduler deals out are even, people's are not, however much either asks."""

import numpy as np
import pytest

from excise.campaigns.evenness import UNKNOWN, unevenness

DAY = 86_400.0
#: what rules call even
EVEN = 0.3


@pytest.fixture
def loads():
    """Make decayed counts and ages of members who ask `rates` times a day, since up to `days`."""

    def make(rates, days=1.0, *, staggered=False, seed=7):
        rng = np.random.default_rng(seed)
        counts, ages = [], []
        for rate in rates:
            age = days * DAY * (rng.uniform(0.1, 1.0) if staggered else 1.0)
            ago = np.append(rng.uniform(0.0, age, rng.poisson(rate * age / DAY)), age)
            counts.append(np.exp2(-ago / DAY).sum())
            ages.append(age)
        return np.array(counts), np.array(ages)

    return make


def of(counts):
    return np.zeros(len(counts), dtype=np.int64)


def lognormal(heads, rate, sigma, seed=3):
    return rate * np.random.default_rng(seed).lognormal(-sigma * sigma / 2, sigma, heads)


@pytest.mark.parametrize("rate", [8.0, 26.0, 260.0, 860.0])
@pytest.mark.parametrize("staggered", [False, True])
def test_what_a_scheduler_deals_out_is_even_however_much_it_is(loads, rate, staggered):
    counts, ages = loads([rate] * 60, staggered=staggered)
    assert unevenness(counts, ages, of(counts), 1)[0] < EVEN


@pytest.mark.parametrize(("rate", "sigma"), [(3.0, 0.8), (8.0, 0.8), (60.0, 1.3), (400.0, 1.3)])
def test_people_are_uneven_however_little_they_ask(loads, rate, sigma):
    counts, ages = loads(lognormal(120, rate, sigma))
    assert unevenness(counts, ages, of(counts), 1)[0] > EVEN


def test_few_requests_prove_no_evenness(loads):
    counts, ages = loads([26.0] * 12, days=0.05)
    assert unevenness(counts, ages, of(counts), 1)[0] > EVEN


def test_the_excess_is_that_of_the_rates_where_there_is_much_to_go_by(loads):
    """For log-normal rates it is exp(sigma^2) - 1, here 0.28; days of decay leave it so."""
    counts, ages = loads(lognormal(4000, 200.0, 0.5), days=5.0)
    assert pytest.approx(np.exp(0.25) - 1.0, abs=0.06) == unevenness(counts, ages, of(counts), 1)[0]


def test_groups_are_told_apart_and_nothing_is_known_of_one_that_never_came_back(loads):
    even, ages = loads([30.0] * 40)
    uneven, later = loads(lognormal(40, 30.0, 1.3))
    counts = np.concatenate((even, uneven, np.exp2(-np.ones(3))))
    group = np.repeat([0, 1, 2], [40, 40, 3])
    found = unevenness(counts, np.concatenate((ages, later, np.full(3, DAY))), group, 3)
    assert [True, False, False] == (found < EVEN).tolist()
    assert UNKNOWN >= found.max()


def test_without_groups_there_is_nothing():
    none = np.empty(0)
    assert 0 == len(unevenness(none, none, np.empty(0, dtype=np.int64), 0))
