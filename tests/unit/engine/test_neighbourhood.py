"""Walks through a block are met by prefixes, which honest neighbours veto."""

import ipaddress

from excise.model.settings import Governor


def networks(engine):
    return sorted(
        d.target
        for d in engine.decisions()
        if d.plane == "network" and not d.target.endswith(("/32", "/64"))
    )


def walk(ask, engine, addresses):
    for address in addresses:
        ask(engine, address, count=5, every_s=0.2)


def test_guilty_clients_side_by_side_are_met_by_the_narrowest_prefix(engine, guilty, ask):
    watched = engine(*guilty)
    walk(ask, watched, [f"203.0.113.{i}" for i in range(8, 15)])
    assert ["203.0.113.8/29"] == networks(watched)


def test_a_walk_through_a_v6_site_is_met_by_its_prefix(engine, guilty, ask):
    watched = engine(*guilty)
    walk(ask, watched, [f"2001:db8:1:{i:x}::1" for i in range(7)])
    assert ["2001:db8:1::/60"] == networks(watched)


def test_an_honest_neighbour_vetoes_the_prefix(engine, guilty, ask):
    watched = engine(*guilty)
    for i in range(4):
        ask(watched, f"203.0.113.{i + 1}", count=4, every_s=60.0, output_tokens=3000)
    walk(ask, watched, [f"203.0.113.{i}" for i in range(8, 15)])
    assert "203.0.113.0/28" not in networks(watched)
    covered = [ipaddress.ip_network(n) for n in networks(watched)]
    assert not any(ipaddress.ip_address("203.0.113.1") in n for n in covered)


def test_a_prefix_over_a_safe_network_is_not_decided(engine, guilty, ask):
    watched = engine(*guilty, never_block=("203.0.113.15",))
    walk(ask, watched, [f"203.0.113.{i}" for i in range(8, 15)])
    assert [] == networks(watched)
    assert 7 == len(watched.decisions())


def test_a_walk_over_sites_grows_the_prefix_no_wider_than_the_governor_lets_it(
    engine, guilty, ask, wait
):
    watched = engine(*guilty, governor=Governor(min_prefix_v4=22, min_prefix_v6=40))
    for site in range(8):
        walk(ask, watched, [f"198.51.{100 + site}.{i}" for i in range(1, 8)])
    widest = min(ipaddress.ip_network(n).prefixlen for n in networks(watched))
    assert widest >= 22


def test_two_guilty_sites_never_cost_the_block_around_them(engine, guilty, ask):
    watched = engine(*guilty)
    for site in (0, 1):
        walk(ask, watched, [f"198.51.{100 + site}.{i}" for i in range(8, 15)])
    assert all(ipaddress.ip_network(n).prefixlen >= 24 for n in networks(watched))
