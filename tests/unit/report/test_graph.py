"""Pictures of campaigns, from five members to five thousand."""

import random

import pytest

from excise.report.collect import Edge, Net
from excise.report.graph import MOST_DOTS, around, picture, walk


def campaign(accounts, exits, state="deny"):
    chance = random.Random(1)
    edges = [
        Edge(f"a{n}", f"2001:db8::{chance.randrange(exits):x}", 1.0)
        for n in range(accounts)
        for _ in range(3)
    ]
    clients = dict.fromkeys(e.client for e in edges)
    return Net(
        accounts=tuple((f"a{n}", state) for n in range(accounts)),
        exits=tuple((c, "throttle") for c in clients),
        edges=tuple(edges),
    )


@pytest.mark.parametrize(("accounts", "exits"), [(5, 5), (60, 40), (500, 900), (5_000, 9_000)])
def test_a_picture_stays_small_and_shows_or_counts_everybody(accounts, exits):
    net = campaign(accounts, exits)
    svg = picture(net, 1)

    assert min(accounts, MOST_DOTS) >= svg.count('class="account deny"') > 0
    assert svg.count("<circle") <= 2 * MOST_DOTS
    assert len(svg) < 150_000
    assert f"{accounts:,} accounts" in svg
    assert (accounts > MOST_DOTS) == ("A dot stands for" in svg)


def test_accounts_that_share_addresses_follow_each_other():
    edges = [Edge(f"a{n}", f"c{n % 2}", 1.0) for n in range(6)]
    assert ["a0", "a2", "a4", "a1", "a3", "a5"] == walk([f"a{n}" for n in range(6)], edges)


def test_addresses_lie_where_their_accounts_do():
    edges = [Edge("left", "c1", 1.0), Edge("right", "c2", 1.0), Edge("right", "c1", 0.1)]
    assert ["c2", "c1"] == around(edges, {"right": 0.1, "left": 2.0})


def test_the_gravest_state_shows_where_several_share_a_dot():
    net = campaign(MOST_DOTS * 2, 10, state="none")
    one = tuple((name, "deny" if n == 0 else s) for n, (name, s) in enumerate(net.accounts))
    svg = picture(Net(accounts=one, exits=net.exits, edges=net.edges), 0)
    assert 1 == svg.count('class="account deny"')


def test_a_campaign_whose_accounts_are_gone_says_so():
    assert "forgotten" in picture(Net(accounts=(), exits=(), edges=()), 0)
