"""What is usual on a host: whoever counts, counts once, and nobody who harvests shifts it."""

import numpy as np
import pytest

from excise.features import population
from excise.features.population import Baselines, Wish
from excise.features.state import Table
from excise.features.table import FEATURES
from excise.model.entity import Kind

NOW, DAY = 1_700_000_000.0, 86_400.0
MEDIAN = Wish(Kind.ACCOUNT, "output_tokens_24h", 0.5)


@pytest.fixture
def accounts():
    """Make a table of accounts from (how many, output tokens, age in days, idle in days)."""

    def make(*groups):
        table, row = Table(Kind.ACCOUNT, 1 + sum(g[0] for g in groups)), 1
        for heads, tokens, age, idle in groups:
            at = slice(row, row + heads)
            table.sums[at, table.index["output_tokens_24h"]] = tokens
            table.first[at], table.last[at] = NOW - age * DAY, NOW - idle * DAY
            row += heads
        return table

    return make


@pytest.fixture
def usual():
    """Read the median that a table gives, `suspects` left out."""

    def read(table, wish=MEDIAN, suspects=()):
        known = Baselines((wish,))
        left_out = {Kind.ACCOUNT: np.array(suspects, dtype=np.int64)}
        known.refresh({Kind.ACCOUNT: table}, NOW, NOW, left_out)
        return known.get(wish)

    return read


def test_the_feature_of_these_tests_exists():
    assert Kind.ACCOUNT in FEATURES[MEDIAN.feature].kinds


@pytest.mark.parametrize(
    ("heads", "expected"), [(population.LEAST - 1, None), (population.LEAST, 7.0)]
)
def test_a_host_with_too_few_entities_does_not_know_itself(accounts, usual, heads, expected):
    assert expected == usual(accounts((heads, 7.0, 0.1, 0.0)))


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        pytest.param([(301, 10.0, 1, 0), (1, 1e9, 1, 0)], 10.0, id="one heavy entity counts once"),
        pytest.param([(250, 10.0, 1, 0), (900, 99.0, 30, 1.01)], 10.0, id="idle for a day: gone"),
        pytest.param([(199, 10.0, 8, 0), (900, 99.0, 1, 0)], 99.0, id="too few old: all count"),
        pytest.param([(200, 10.0, 8, 0), (9000, 99.0, 1, 0)], 10.0, id="a fleet of newcomers"),
        pytest.param([(200, 10.0, 8, 0), (90, 99.0, 8, 0)], 10.0, id="fewer aged than honest"),
        pytest.param([(9, 10.0, 8, 0), (300, 99.0, 30, 2)], None, id="the old are not there"),
    ],
)
def test_who_counts_is_who_is_active_and_old(accounts, usual, groups, expected):
    assert expected == usual(accounts(*groups))


def test_who_is_enforced_says_nothing_about_what_is_usual(accounts, usual):
    table = accounts((250, 10.0, 1, 0), (900, 99.0, 1, 0))
    assert 99.0 == usual(table)
    assert 10.0 == usual(table, suspects=range(251, 1151))


def test_nobody_the_empty_row_does_not_count(accounts, usual):
    table = accounts((199, 7.0, 1, 0))
    table.first[0] = table.last[0] = NOW
    assert usual(table) is None


def test_a_sample_of_a_large_population_is_of_all_its_ages(accounts, usual, monkeypatch):
    monkeypatch.setattr(population, "SAMPLE", 100)
    table = accounts(*[(1000, float(k), 1, 0) for k in range(1, 10)])
    assert 5.0 == usual(table)


def test_a_campaign_is_compared_with_single_accounts(accounts, usual):
    wish = Wish(Kind.CAMPAIGN, "output_tokens_24h", 0.5)
    assert 10.0 == usual(accounts((300, 10.0, 1, 0)), wish)


def test_what_is_usual_is_kept_while_the_host_is_quiet(accounts):
    known = Baselines((MEDIAN,))
    known.refresh({Kind.ACCOUNT: accounts((300, 10.0, 1, 0))}, NOW, NOW, {})
    known.refresh({Kind.ACCOUNT: accounts((3, 99.0, 1, 0))}, NOW, NOW, {})
    assert 10.0 == known.get(MEDIAN)


def test_a_rules_test_may_pin_what_is_usual(accounts):
    known = Baselines((MEDIAN,), pinned={(Kind.ACCOUNT, "output_tokens_24h"): 3.0})
    known.refresh({Kind.ACCOUNT: accounts((300, 10.0, 1, 0))}, NOW, NOW, {})
    assert 3.0 == known.get(MEDIAN)
