import asyncio

import pytest

from excise.daemon.watch import Protector, Snapshots
from excise.host import Findings
from excise.store.snapshot import read_snapshot


@pytest.fixture
def looks():
    """What the host says, look by look."""
    return []


@pytest.fixture
def protector(core, looks, executor):
    return Protector(core, lambda: looks.pop(0), executor)


def found_by(core):
    return {view.cidr for view in core.engine.allowed() if view.origin == "this host"}


def test_what_the_host_needs_is_protected(protector, looks, core):
    looks.append(Findings(("192.0.2.1/32",), ()))

    asyncio.run(protector.refresh())

    assert found_by(core) == {"192.0.2.1/32"}


def test_a_session_that_ended_is_no_longer_protected(protector, looks, core):
    looks += [Findings(("192.0.2.1/32", "192.0.2.2/32"), ()), Findings(("192.0.2.1/32",), ())]

    async def story():
        await protector.refresh()
        await protector.refresh()

    asyncio.run(story())

    assert found_by(core) == {"192.0.2.1/32"}


def test_what_cannot_be_looked_up_stays_protected_with_one_alarm(protector, looks, core):
    blind = Findings(("192.0.2.2/32",), ("cannot list routes",))
    looks += [Findings(("192.0.2.1/32",), ()), blind, blind]

    async def story():
        for _ in range(3):
            await protector.refresh()

    asyncio.run(story())

    assert found_by(core) == {"192.0.2.1/32", "192.0.2.2/32"}
    assert core.tally.alarms == {"protect-failed": 1}


def test_a_snapshot_is_written_after_what_led_to_it_is_stored(core, tmp_path, executor, requests):
    snapshots = Snapshots(core, tmp_path / "engine.snapshot", executor)

    async def story():
        await core.feed("a", requests(3), "7")
        await snapshots.write()

    asyncio.run(story())

    assert read_snapshot(tmp_path / "engine.snapshot").cursors == {"a": "7"}
    assert core.ledger.store.batches[-1].durable


def test_without_a_store_there_is_no_snapshot_ahead_of_it(
    core, tmp_path, executor, requests, fake_store
):
    snapshots = Snapshots(core, tmp_path / "engine.snapshot", executor)
    fake_store.broken = True

    async def story():
        await core.feed("a", requests(3), "7")
        await snapshots.write()

    asyncio.run(story())

    assert read_snapshot(tmp_path / "engine.snapshot") is None


def test_a_snapshot_that_cannot_be_written_is_one_alarm(core, tmp_path, executor):
    snapshots = Snapshots(core, tmp_path / "gone" / "engine.snapshot", executor)

    async def story():
        await snapshots.write()
        await snapshots.write()

    asyncio.run(story())

    assert core.tally.alarms == {"snapshot-failed": 1}
