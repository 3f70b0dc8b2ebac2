"""Tables are bounded, and forget the least established first."""

import pytest

from excise.model.entity import Kind
from excise.model.view import TableView

REGULAR = "192.0.2.7/32"


def table(engine, kind) -> TableView:
    return next(t for t in engine.status().tables if t.kind == kind)


def rotating(record, count, at_s=100.0, **fields):
    return [
        record(at_s + i * 0.01, client=f"198.51.{100 + i // 250}.{i % 250 + 1}", **fields)
        for i in range(count)
    ]


def assert_consistent(engine):
    """Every index names live rows, and every link joins a live client with a live use."""
    world = engine.world
    links = world.links
    live = [row for row in range(len(links.client)) if links.client[row] >= 0]
    for row in live:
        assert world.interner(Kind.CLIENT).keys[int(links.client[row])] is not None
        assert world.uses.keys[int(links.use[row])] is not None
        assert row in links.of_client(int(links.client[row]))
        assert row in links.of_use(int(links.use[row]))
    assert len(live) == links.size()[0]
    for key, use in world.uses.rows.items():
        if use:
            account, stack = divmod(key, 1 << 32)
            assert world.interner(Kind.ACCOUNT).keys[account] is not None
            assert world.interner(Kind.STACK).keys[stack] is not None
            assert use in world.uses_of(account)
    owned = [
        u for account in world.interner(Kind.ACCOUNT).rows.values() for u in world.uses_of(account)
    ]
    assert sorted(owned) == sorted(row for row in world.uses.rows.values() if row)


def test_rotating_addresses_push_out_each_other_and_no_client_with_a_history(
    engine, observe, record, value
):
    watched = engine(clients=64)
    observe(watched, [record(i, client="192.0.2.7", account="home") for i in range(40)])
    observe(watched, rotating(record, 640))
    assert 40 == value(watched, Kind.CLIENT, REGULAR, "total")
    assert 40 == value(watched, Kind.ACCOUNT, "home", "total")
    seen = table(watched, "client")
    assert 64 >= seen.rows
    assert 641 - seen.rows == seen.evicted


def test_an_engine_that_forgot_goes_on_counting(engine, observe, record, value):
    watched = engine(clients=64)
    observe(watched, [record(i, client="192.0.2.7") for i in range(40)])
    observe(watched, rotating(record, 640))
    observe(watched, [record(200 + i, client="192.0.2.7") for i in range(5)])
    observe(watched, [record(210, client="198.51.100.1")])
    assert 45 == value(watched, Kind.CLIENT, REGULAR, "total")
    assert 1 == value(watched, Kind.CLIENT, "198.51.100.1/32", "total")
    assert_consistent(watched)


@pytest.mark.parametrize(
    "narrow", ["clients", "subnets", "accounts", "uses", "stacks", "templates", "links"]
)
def test_forgetting_keeps_every_index_consistent(engine, observe, record, narrow):
    watched = engine(**{narrow: 20})
    for burst in range(3):
        observe(
            watched,
            [
                record(
                    burst * 100 + i,
                    client=f"198.51.{i}.1" if i % 2 else f"2001:db8:{i:x}::1",
                    account=f"a{i}",
                    user_agent=f"s{i % 40}",
                    prompt=(f"{i:04x}",),
                )
                for i in range(100)
            ],
        )
        assert_consistent(watched)
    assert any(t.evicted for t in watched.status().tables)
    assert 300 == watched.status().records


def test_an_address_that_comes_back_starts_from_nothing(engine, observe, record, value):
    watched = engine(clients=32)
    observe(watched, [record(0, client="192.0.2.9", account="a", output_tokens=500)])
    observe(watched, rotating(record, 200))
    assert "192.0.2.9/32" not in watched.world.interner(Kind.CLIENT).rows
    observe(watched, [record(300, client="192.0.2.9")])
    assert 1 == value(watched, Kind.CLIENT, "192.0.2.9/32", "total")
    assert 0 == value(watched, Kind.CLIENT, "192.0.2.9/32", "output_tokens_24h")
    assert 0 == value(watched, Kind.CLIENT, "192.0.2.9/32", "accounts")
    row = watched.world.interner(Kind.CLIENT).rows["192.0.2.9/32"]
    assert 1 == len(watched.world.links.of_client(row))
