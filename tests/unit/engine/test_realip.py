"""If every client is a proxy, shutting one out shuts everybody out."""

import msgspec
import pytest

from excise.model.decision import Plane
from excise.model.entity import Kind
from excise.model.record import Record
from excise.model.step import Alarm, Observed

PROXIES = ["203.0.113.1", "203.0.113.2", "203.0.113.3"]


def traffic(start, count=600, *, peers=PROXIES, accounts=60, agents=12, every_s=1.0, **fields):
    """Requests by turns through few addresses, of many accounts and programs."""
    return [
        Record(
            ts=start + i * every_s,
            client=peers[i % len(peers)],
            account=f"k_{i % accounts}" if accounts else "",
            user_agent=f"agent/{i % agents}",
            status=200,
            output_tokens=100,
            **fields,
        )
        for i in range(count)
    ]


def alarms(effects):
    return [e.code for e in effects if isinstance(e, Alarm)]


def enforced(engine):
    return {d.target for d in engine.decisions() if d.enforcing and d.plane is Plane.NETWORK}


def test_a_crowd_behind_each_of_few_addresses_is_doubted(engine, guilty, start):
    watched = engine(*guilty)
    effects = watched.step([Observed(traffic(start, 1500))])
    assert ["peers-doubted"] == alarms(effects)
    assert "3 addresses carry 100% of requests" in watched.status().peers_doubted
    assert set() == enforced(watched)


def test_hops_that_nobody_vouches_for_are_enough_without_accounts(engine, guilty, start):
    watched = engine(*guilty)
    effects = watched.step([Observed(traffic(start, 1500, accounts=0, unbelieved_hops=1))])
    assert ["peers-doubted"] == alarms(effects)
    assert "tell of hops that nobody trusted" in watched.status().peers_doubted
    assert set() == enforced(watched)


@pytest.mark.parametrize(
    ("about", "changes"),
    [
        ("a few tenants, each with its own program", {"accounts": 3, "agents": 3}),
        ("one harvester that goes through keys", {"peers": PROXIES[:1], "agents": 1}),
        ("many addresses", {"peers": [f"203.0.113.{i}" for i in range(1, 40)]}),
        ("too few requests to tell", {"count": 120}),
        ("clients that are told apart from their peers", {"peer": "198.51.100.1"}),
    ],
)
def test_what_is_not_doubted(about, changes, engine, guilty, start):
    watched = engine(*guilty)
    watched.step([Observed(traffic(start, **({"count": 1500} | changes)))])
    assert "" == watched.status().peers_doubted, about


def test_a_confirmed_crowd_is_enforced(engine, guilty, start):
    watched = engine(*guilty, confirm_peers=True)
    effects = watched.step([Observed(traffic(start, 1500, accounts=0, unbelieved_hops=1))])
    assert [] == alarms(effects)
    assert enforced(watched)


def test_confirming_while_running_puts_decisions_in_force(engine, guilty, start, wait):
    watched = engine(*guilty)
    watched.step([Observed(traffic(start, 1500, accounts=0, unbelieved_hops=1))])
    watched.configure(msgspec.structs.replace(watched.settings, confirm_peers=True))
    effects = watched.step([Observed([])])
    assert ["peers-settled"] == alarms(effects)
    assert enforced(watched)


def test_what_was_enforced_before_the_doubt_is_taken_back(engine, guilty, start):
    watched = engine(*guilty)
    watched.step([Observed(traffic(start, 150, accounts=0, unbelieved_hops=1))])
    assert enforced(watched)
    watched.step([Observed(traffic(start + 150, 1500, accounts=0, unbelieved_hops=1))])
    assert watched.status().peers_doubted
    assert set() == enforced(watched)


def test_the_account_plane_goes_on(engine, rule, start):
    by_use = [
        rule("shape.x", "shape", 35.0, kind=Kind.USE),
        rule("volume.x", "volume", 35.0, kind=Kind.USE),
    ]
    watched = engine(*by_use)
    watched.step([Observed(traffic(start, 1500, agents=12))])
    assert watched.status().peers_doubted
    assert any(d.enforcing and d.plane is Plane.ACCOUNT for d in watched.decisions())


def test_the_doubt_ends_once_clients_are_told_apart(engine, guilty, start):
    watched = engine(*guilty)
    watched.step([Observed(traffic(start, 1500))])
    clients = [f"192.0.2.{i}" for i in range(1, 200)]
    fixed = traffic(start + 1500, 3000, peers=clients, peer=PROXIES[0])
    assert "peers-settled" in alarms(watched.step([Observed(fixed)]))
    assert "" == watched.status().peers_doubted


def test_the_doubt_outlives_a_restart(engine, guilty, start):
    watched, again = engine(*guilty), engine(*guilty)
    watched.step([Observed(traffic(start, 1500))])
    again.restore(watched.snapshot())
    assert watched.status().peers_doubted == again.status().peers_doubted


@pytest.mark.parametrize("size", [1, 7, 500])
def test_cuts_do_not_matter(size, engine, guilty, start):
    records = traffic(start, 1500, accounts=0, unbelieved_hops=1)
    whole, cut = engine(*guilty), engine(*guilty)
    expected = whole.step([Observed(records)])
    found = []
    for at in range(0, len(records), size):
        found += cut.step([Observed(records[at : at + size])])
    assert expected == found


# Proxies that nobody configured


def test_no_decision_is_made_against_a_peer_of_others(engine, guilty, ask):
    watched = engine(*guilty)
    ask(watched, client="192.0.2.50", count=1, peer="203.0.113.7")
    assert [] == ask(watched, client="203.0.113.7", count=20)


def test_nor_against_a_network_around_one(engine, guilty, ask):
    watched = engine(*guilty)
    ask(watched, client="192.0.2.50", count=1, peer="203.0.113.7")
    for last in range(20, 60):
        ask(watched, client=f"203.0.113.{last}", count=6)
    covering = {d.target for d in watched.decisions() if d.target.endswith(("/24", "/25", "/26"))}
    assert set() == {t for t in covering if watched.world.proxies.inside(t, watched.clock)}


def test_a_decision_ends_when_its_target_turns_out_to_be_a_proxy(engine, guilty, ask, active):
    watched = engine(*guilty)
    ask(watched, client="203.0.113.7", count=20)
    assert "203.0.113.7/32" in active(watched)
    ask(watched, client="192.0.2.50", count=1, peer="203.0.113.7")
    ask(watched, client="203.0.113.7", count=40, every_s=30.0)
    assert "203.0.113.7/32" not in active(watched)


def test_proxies_are_remembered_through_a_restart(engine, guilty, ask):
    watched, again = engine(*guilty), engine(*guilty)
    ask(watched, client="192.0.2.50", count=1, peer="2001:db8::7")
    again.restore(watched.snapshot())
    assert [] == ask(again, client="2001:db8::8", count=20)  # the same /64
