import asyncio

import pytest

from excise.daemon.ledger import RESERVE, Ledger
from excise.daemon.pending import Entry
from excise.daemon.stream import EventStream
from excise.model.decision import DecisionEvent, Op
from excise.model.step import Alarm


@pytest.fixture
def alarms():
    return []


@pytest.fixture
def ledger(fake_store, clock, executor, alarms, decision):
    return Ledger(
        store=fake_store,
        stream=EventStream(first=1),
        clock=clock,
        executor=executor,
        active=lambda: [decision()],
        on_alarm=lambda code, _text: alarms.append(code),
    )


@pytest.fixture
def added(decision):
    return DecisionEvent(1.0, Op.ADD, decision())


def test_decision_and_cursor_go_into_one_batch(ledger, fake_store, added):
    async def story():
        ledger.put(Entry([added], {"file:a": "7"}), 10.0)
        await ledger.flush()

    asyncio.run(story())

    (batch,) = fake_store.batches
    assert batch.events == ((1, added),)
    assert batch.cursors == {"file:a": "7"}
    assert batch.clock == 10.0


def test_an_effect_is_published_after_it_is_stored(ledger, fake_store, added):
    async def story():
        ledger.put(Entry([added]), 10.0)
        before = ledger.stream.last_serial
        await ledger.flush()
        return before, ledger.stream.last_serial

    assert asyncio.run(story()) == (0, 1)


def test_a_failing_store_is_told_once_and_nothing_is_lost(ledger, fake_store, added, alarms):
    async def story():
        fake_store.broken = True
        for n in range(3):
            ledger.put(Entry([added], {"file:a": str(n)}), 10.0)
            await ledger.flush()
        published = ledger.stream.last_serial
        fake_store.broken = False
        await ledger.flush()
        return published

    assert asyncio.run(story()) == 3
    assert fake_store.serials == [1, 2, 3]
    assert fake_store.batches[0].cursors == {"file:a": "2"}
    assert alarms == ["store-failed", "store-recovered"]
    assert (ledger.failures, ledger.lost_events, ledger.problem) == (3, 0, "")


def test_what_had_to_be_given_up_is_made_good_by_the_active_set(
    ledger, fake_store, added, decision, monkeypatch
):
    monkeypatch.setattr("excise.daemon.ledger.MOST_WAITING", 2)

    async def story():
        fake_store.broken = True
        for _ in range(5):
            ledger.put(Entry([added]), 10.0)
        await ledger.flush()
        fake_store.broken = False
        await ledger.flush()

    asyncio.run(story())

    assert fake_store.serials == [4, 5]
    assert ledger.lost_events == 3
    assert fake_store.settled == [([decision()], 10.0)]


def test_whoever_waits_is_told_when_it_is_stored(ledger, fake_store, added):
    async def story():
        async with asyncio.TaskGroup() as group:
            loop = group.create_task(ledger.run(lambda: None))
            await ledger.settled(ledger.put(Entry([added]), 10.0))
            stored = list(fake_store.serials)
            loop.cancel()
        return stored

    assert asyncio.run(story()) == [1]


def test_whoever_waits_is_not_held_up_by_a_failing_store(ledger, fake_store, added):
    async def story():
        fake_store.broken = True
        async with asyncio.TaskGroup() as group:
            loop = group.create_task(ledger.run(lambda: None))
            await ledger.settled(ledger.put(Entry([added]), 10.0))
            loop.cancel()

    asyncio.run(story())

    assert fake_store.batches == []


def test_serials_are_reserved_before_they_are_given_out(ledger, fake_store):
    async def story():
        ledger.put(Entry([Alarm(0.0, "x", "")]), 10.0)
        await ledger.flush()
        ledger.put(Entry([Alarm(0.0, "x", "")]), 10.0)
        await ledger.flush()

    asyncio.run(story())

    (batch,) = fake_store.batches
    assert batch.serials == 2 + RESERVE


def test_a_clean_end_leaves_no_gap(ledger, fake_store, added):
    async def story():
        ledger.put(Entry([added]), 10.0)
        await ledger.flush(last=True)

    asyncio.run(story())

    assert fake_store.batches[-1].serials == 2


def test_the_past_is_pruned_now_and_then(ledger, fake_store, clock, added):
    async def story():
        async with asyncio.TaskGroup() as group:
            loop = group.create_task(ledger.run(lambda: None))
            for _ in range(3):
                await ledger.settled(ledger.put(Entry([added]), 10.0))
            loop.cancel()

    asyncio.run(story())

    assert fake_store.pruned == 1
