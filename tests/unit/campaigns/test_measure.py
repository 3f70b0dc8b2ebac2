"""A group's features are what the table of features promises, with the numbers of what was sent."""

import msgspec
import numpy as np
import pytest

from excise.campaigns.groups import find
from excise.campaigns.measure import measure
from excise.features.table import FEATURES
from excise.model.entity import Kind


@pytest.fixture
def numbers(seen, fleet, people):
    world, now = seen(fleet(), people())
    return measure(world, find(world, now), np.array([1]), now)


def test_every_feature_of_campaigns_is_measured_and_no_other(numbers):
    assert {f.name for f in FEATURES.values() if Kind.CAMPAIGN in f.kinds} == set(numbers.columns)
    assert all(np.isfinite(column).all() for column in numbers.columns.values())


def test_a_fleet_has_the_numbers_of_what_it_sent(numbers):
    close = {
        "members": 12.0,
        "clients": 37.0,
        "sites": 37.0,
        "output_ratio": 3000 / 90,
        "output_per_request": 3000.0,
        "mean_output": 3000.0,
        "mean_input": 90.0,
        "moves": 1.0,
        "lone_returns": 1.0,
        "begins": 1.0,
        "taken_over": 0.0,
        "template_share": 1.0,
    }

    assert close == pytest.approx({name: numbers.at(0)[name] for name in close}, rel=0.01)


def test_what_a_group_takes_now_is_told_from_the_days_sums(seen, fleet, people):
    lately = fleet(count=120, every_s=30.0, input_tokens=100, output_tokens=5000)
    late = [msgspec.structs.replace(r, ts=r.ts + 43_200.0) for r in lately]
    world, now = seen(fleet(count=240, input_tokens=200, output_tokens=100), late)
    found = measure(world, find(world, now), np.array([1]), now).at(0)

    assert found["output_per_request"] < 2200
    assert 4700 < found["output_per_request_1h"] < 5000
    assert found["output_ratio_1h"] == pytest.approx(50.0, rel=0.1)


def test_equal_members_are_even_and_alike(numbers):
    assert numbers.at(0)["unevenness"] < 0.5
    assert numbers.at(0)["unlikeness"] < 1.5


def test_without_groups_there_are_no_numbers(seen, people):
    world, now = seen(people())

    assert 0 == len(measure(world, find(world, now), np.empty(0, dtype=int), now)["members"])
