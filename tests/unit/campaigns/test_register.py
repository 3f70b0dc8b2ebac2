"""Campaigns keep their ids as they grow, fall silent, merge and split."""

import numpy as np
import pytest

from excise.campaigns.groups import Groups
from excise.campaigns.register import FORGOTTEN_S, MOST, Register


@pytest.fixture
def register(seen, fleet):
    world, _ = seen(fleet(accounts=40, count=80))
    return Register(world)


@pytest.fixture
def groups():
    """Make groups of account rows; keywords name the templates of groups."""

    def make(*members, **templates):
        of = [g for g, rows in enumerate(members) for _ in rows]
        pairs = [(t, int(g[1:])) for g, found in templates.items() for t in found]
        return Groups(
            len(members),
            np.array([a for rows in members for a in rows], dtype=np.int64),
            np.array(of, dtype=np.int64),
            np.ones(len(of)),
            np.array([t for t, _ in pairs], dtype=np.int64),
            np.array([g for _, g in pairs], dtype=np.int64),
            np.empty(0, dtype=np.int64),
            np.ones(len(pairs), dtype=bool),
            np.empty(0, dtype=np.int64),
        )

    return make


def ids(register, rows):
    return [register.campaigns[n].id for n in rows.tolist()]


def test_a_campaign_that_grows_keeps_its_id(register, groups):
    first = ids(register, register.match(groups(range(1, 8)), 100.0))

    assert first == ids(register, register.match(groups(range(3, 30)), 700.0))
    assert set(range(1, 30)) == set(register.campaigns[1].accounts)


def test_new_accounts_under_its_template_are_the_same_campaign(register, groups):
    first = ids(register, register.match(groups(range(1, 8), g0=[77]), 100.0))

    assert first == ids(register, register.match(groups(range(20, 30), g0=[77]), 700.0))


def test_others_are_another_campaign(register, groups):
    rows = register.match(groups(range(1, 8), range(10, 18)), 100.0)

    assert 2 == len(set(ids(register, rows)))


def test_of_campaigns_that_merge_the_eldest_id_stays(register, groups):
    elder = ids(register, register.match(groups(range(1, 8)), 100.0))
    register.match(groups(range(1, 8), range(10, 30)), 700.0)

    assert elder == ids(register, register.match(groups([*range(1, 8), *range(10, 30)]), 1300.0))
    assert 1 == len(register.campaigns)


def test_the_larger_part_of_a_campaign_that_splits_keeps_its_id(register, groups):
    whole = ids(register, register.match(groups(range(1, 30)), 100.0))
    parts = ids(register, register.match(groups(range(1, 10), range(10, 30)), 700.0))

    assert whole == parts[1:]
    assert parts[0] != parts[1]


def test_a_campaign_that_is_silent_keeps_its_members(register, groups):
    register.match(groups(range(1, 8)), 100.0)
    register.match(groups(), 700.0)

    assert set(range(1, 8)) == set(register.campaigns[1].accounts)


def test_campaigns_without_evidence_or_of_long_ago_are_forgotten(register, groups):
    register.match(groups(range(1, 8), range(10, 18)), 100.0)
    register.prune({1}, 200.0)
    assert [1] == list(register.campaigns)

    register.prune({1}, 200.0 + FORGOTTEN_S)
    assert [] == list(register.campaigns)


def test_a_released_account_is_no_member_again(register, groups):
    register.released.add(3)
    register.match(groups(range(1, 8)), 100.0)

    assert 3 not in register.campaigns[1].accounts


def test_no_more_than_the_most_are_kept(register, groups):
    for i in range(MOST + 5):
        register._new(np.array([1 + i % 30]), 100.0 + i)
    register.prune(set(register.campaigns), 2000.0)

    assert MOST == len(register.campaigns)
