"""A group's ways are measured beside those of accounts in no group."""

import msgspec
import numpy as np
import pytest

from excise.campaigns.groups import find
from excise.campaigns.measure import measure
from excise.rules.expand import documented_asns


@pytest.fixture
def found(seen):
    def make(*streams):
        world, now = seen(*streams)
        groups = find(world, now)
        return measure(world, groups, np.arange(groups.n), now).at(0)

    return make


def test_a_fleet_at_all_hours_is_flat(found, fleet):
    numbers = found(fleet(count=800))

    assert numbers["flatness"] > 0.97
    assert 0.0 == numbers["longest_gap"]


def test_a_fleet_of_a_few_hours_is_not(found, fleet):
    numbers = found(fleet(count=120))

    assert numbers["flatness"] < 0.6
    assert 19.0 <= numbers["longest_gap"]


def test_shapes_are_compared_with_those_of_people(found, fleet, people):
    numbers = found(fleet(count=240), people(heads=200))

    assert 240.0 == numbers["shape_answers"]
    assert 1.0 == pytest.approx(numbers["divergence"])


def test_without_others_or_fields_there_is_no_evidence(found, fleet):
    numbers = found(fleet())

    assert [0.0] * 4 == [numbers[n] for n in ("divergence", "pivot", "questions", "unasked")]
    assert 1.0 == pytest.approx(numbers["own_share"])


def test_systems_are_counted_where_there_is_a_table(seen, fleet):
    world, now = seen(fleet())
    groups = find(world, now)
    without = measure(world, groups, np.arange(1), now)["asns"].tolist()
    world.directory.asns = documented_asns()

    assert ([0.0], [37.0]) == (without, measure(world, groups, np.arange(1), now)["asns"].tolist())


def test_nobody_is_a_newcomer_on_the_hosts_first_day(found, fleet, people):
    assert 0.0 == found(fleet())["newcomers"]
    late = [msgspec.structs.replace(r, ts=r.ts + 30 * 3600.0) for r in fleet()]
    hourly = [
        msgspec.structs.replace(people(heads=1)[0], ts=late[0].ts - h * 3600.0)
        for h in range(1, 31)
    ]
    assert 1.0 == found(late, hourly)["newcomers"]
