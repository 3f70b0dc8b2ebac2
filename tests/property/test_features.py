"""Distinct counts: near the truth, deaf to repeats, forgetting; and sums that need no batches."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from excise.engine import Engine
from excise.features.values import resting
from excise.model.entity import Kind
from excise.model.record import Record
from excise.model.settings import Capacity, Settings
from excise.model.step import Observed
from excise.rules.schema import Rulebook

START = 1_700_000_000.0
DAY = 86_400.0
ROOMY = Settings(capacity=Capacity(2048, 2048, 64, 64, 64, 64, 2048))
FEW = st.lists(st.integers(0, 11), min_size=1, max_size=60)


def client(number):
    return f"198.51.{number // 250}.{number % 250 + 1}"


def clients_of_a(engine, now=None):
    world = engine.world
    at = np.array([world.interner(Kind.ACCOUNT).rows["a"]])
    table = world.tables[Kind.ACCOUNT]
    return float(resting(table, at, now or engine.clock, world.landmark)["clients"][0])


def observe(engine, numbers, at_s=0.0):
    records = [
        Record(ts=START + at_s + i * 0.01, client=client(n), account="a")
        for i, n in enumerate(numbers)
    ]
    engine.step([Observed(records)])


@hypothesis_settings(max_examples=25)
@given(numbers=FEW)
def test_a_few_distinct_clients_are_counted_exactly(numbers):
    engine = Engine(ROOMY, Rulebook())
    observe(engine, numbers)
    assert len(set(numbers)) == round(clients_of_a(engine))


@hypothesis_settings(max_examples=10)
@given(numbers=FEW, again=FEW)
def test_a_client_seen_before_raises_no_count(numbers, again):
    engine = Engine(ROOMY, Rulebook())
    observe(engine, numbers)
    before = clients_of_a(engine)
    observe(engine, [n for n in again if n in numbers], at_s=1.0)
    assert before == clients_of_a(engine)


@pytest.mark.parametrize("count", [30, 100, 300, 1000])
def test_many_distinct_clients_are_counted_within_the_error_of_linear_counting(count):
    # Whang et al. 1990: with m = 256 bits and load t the deviation is sqrt(m (e^t - t - 1)) / n;
    # four of them leave out one in fifteen thousand.
    engine = Engine(ROOMY, Rulebook())
    observe(engine, range(count))
    load = count / 256
    deviation = math.sqrt(256 * (math.exp(load) - load - 1)) / count
    assert pytest.approx(count, rel=4 * deviation + 1 / count) == clients_of_a(engine)


def test_clients_not_seen_for_a_day_are_forgotten_and_those_seen_stay():
    engine = Engine(ROOMY, Rulebook())
    observe(engine, range(8))
    for hour in range(1, 50):
        observe(engine, [3], at_s=hour * 1800.0)
    assert 1 == round(clients_of_a(engine))


def test_clients_of_the_last_twelve_hours_are_all_remembered():
    engine = Engine(ROOMY, Rulebook())
    for half_hour in range(96):
        observe(engine, [half_hour], at_s=half_hour * 1800.0)
    assert 23 <= clients_of_a(engine) <= 53
