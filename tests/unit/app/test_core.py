import asyncio

import pytest

from excise.daemon import core as module
from excise.errors import EnforceError, NotFoundError
from excise.model.decision import Action, Op, Posture
from excise.model.step import Allow, Disallow, Lift, Place, Protect, SetPosture
from excise.store.store import PostureChoice

PLACE = Place("203.0.113.9", Action.DROP, None, 3600.0, "harvests")


def test_what_a_chunk_led_to_is_stored_with_its_cursor(core, fake_store, requests):
    async def story():
        await core.feed("file:a", requests(3), "7")
        await core.ledger.flush()

    asyncio.run(story())

    (batch,) = fake_store.batches
    assert batch.cursors == {"file:a": "7"}
    assert {event.op for _, event in batch.events} == {Op.ADD}
    assert core.processed == {"file:a": "7"}
    assert sum(core.tally.decisions.values()) == len(batch.events)


def test_a_long_chunk_lets_others_in_but_nobody_steps_between(core, requests, monkeypatch):
    monkeypatch.setattr(module, "MOST_RECORDS", 2)
    monkeypatch.setattr(module, "LEAST_RECORDS", 1)
    core.step_records = 2
    order = []

    async def reader():
        await asyncio.sleep(0)
        order.append("read")

    async def operator():
        await asyncio.sleep(0)
        async with core.intake:
            order.append("stepped")

    async def feed():
        order.append("begun")
        await core.feed("file:a", requests(10), "7")
        order.append("fed")

    async def story():
        async with asyncio.TaskGroup() as group:
            for job in (feed(), reader(), operator()):
                group.create_task(job)

    asyncio.run(story())

    assert order == ["begun", "read", "fed", "stepped"]


def test_cutting_a_chunk_into_steps_changes_no_decision(core, fake_store, requests, monkeypatch):
    monkeypatch.setattr(module, "MOST_RECORDS", 1)
    monkeypatch.setattr(module, "LEAST_RECORDS", 1)
    core.step_records = 1

    async def story():
        await core.feed("file:a", requests(8), "7")
        await core.ledger.flush()

    asyncio.run(story())

    (batch,) = fake_store.batches
    assert len(batch.events) >= 2


@pytest.mark.parametrize(
    ("count", "took_s", "expected"),
    [(64, 0.001, 1280), (64, 0.00001, 4096), (64, 1.0, 64), (10, 0.001, 64), (10, 0.04, 64)],
)
def test_a_step_takes_about_as_long_as_it_may(core, count, took_s, expected):
    core._pace(count, took_s)

    assert core.step_records == expected


def test_a_chunk_cut_short_by_the_end_is_left_for_the_next_start(core, requests, monkeypatch):
    monkeypatch.setattr(module, "MOST_RECORDS", 1)
    monkeypatch.setattr(module, "LEAST_RECORDS", 1)
    core.step_records = 1

    async def story():
        async with asyncio.TaskGroup() as group:
            task = group.create_task(core.feed("file:a", requests(8), "7"))
            await asyncio.sleep(0)
            task.cancel()

    asyncio.run(story())

    assert core.processed == {}


def test_a_chunk_that_breaks_the_engine_is_passed_over(core, requests, monkeypatch):
    def broken(inputs, now=None):
        raise ZeroDivisionError

    monkeypatch.setattr(core.engine, "step", broken)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(core.feed("file:a", requests(1), "7"))

    assert core.processed == {"file:a": "7"}


def test_an_operator_waits_for_disk_and_kernel(core, turning, fake_store):
    async def story():
        effects = await core.operate(PLACE)
        return effects, len(fake_store.serials), core.reconciler.view().entries

    effects, stored, entries = turning(story)

    assert [effect.op for effect in effects] == [Op.ADD]
    assert (stored, entries) == (1, 1)
    assert any(batch.durable for batch in fake_store.batches)


def test_an_operator_who_cannot_is_told_and_nothing_is_stored(core, turning, fake_store):
    async def story():
        with pytest.raises(NotFoundError):
            await core.operate(Lift(target="203.0.113.1"))

    turning(story)

    assert fake_store.serials == []


def test_an_operator_is_told_when_the_kernel_refuses(core, turning, monkeypatch):
    def refuse(wish):
        raise EnforceError("no buffer space")

    monkeypatch.setattr(core.reconciler.converger, "converge", refuse)

    async def story():
        with pytest.raises(EnforceError, match="no buffer space"):
            await core.operate(PLACE)

    turning(story)

    assert [decision.target for decision in core.engine.decisions()] == ["203.0.113.9/32"]


def test_the_operators_choices_are_stored(core, turning, fake_store, clock):
    async def story():
        await core.operate(Allow("192.0.2.0/24", 60.0), Allow("2001:db8::/32"))
        await core.operate(Disallow("2001:db8::/32"))
        await core.operate(SetPosture(Posture.OBSERVE))

    turning(story)

    first, second, third = [batch for batch in fake_store.batches if batch.durable]
    assert first.allowed == {"192.0.2.0/24": clock.wall() + 60.0, "2001:db8::/32": None}
    assert second.disallowed == ["2001:db8::/32"]
    assert third.posture == PostureChoice(Posture.OBSERVE, Posture.ENFORCE)


def test_time_passes_without_a_record(core, clock, requests):
    async def story():
        await core.feed("file:a", requests(1), "7")
        clock.advance(100.0)
        await core.tick()

    asyncio.run(story())

    assert core.engine.clock == 1_750_000_100.0


def test_no_time_passes_before_the_first_record(core, clock):
    clock.advance(100.0)

    asyncio.run(core.tick())

    assert core.engine.clock == 0.0


def test_a_decision_expires_while_the_log_is_silent(core, clock, requests, fake_store):
    async def story():
        await core.feed("file:a", requests(3), "7")
        clock.advance(86_400.0)
        await core.tick()
        await core.ledger.flush()

    asyncio.run(story())

    assert fake_store.batches[0].events[-1][1].op is Op.EXPIRE


def test_a_snapshot_says_where_it_was_taken(core, requests):
    async def story():
        await core.feed("file:a", requests(3), "7")
        return await core.snapshot()

    taken = asyncio.run(story())

    assert taken.cursors == {"file:a": "7"}
    assert taken.clock == core.engine.clock


def test_a_first_cursor_is_worth_a_snapshot_and_a_second_is_not(core, requests):
    async def story():
        await core.feed("file:a", requests(1), "7")
        first = core.worth_keeping.is_set()
        core.worth_keeping.clear()
        await core.feed("file:a", requests(1), "8")
        return first, core.worth_keeping.is_set()

    assert asyncio.run(story()) == (True, False)


def test_an_alarm_of_the_shell_is_streamed_and_counted(core):
    async def story():
        core.alarm("input-blind", "cannot be read")
        await core.ledger.flush()

    asyncio.run(story())

    assert core.ledger.stream.last_serial == 1
    assert core.tally.alarms == {"input-blind": 1}


def test_what_is_protected_is_never_wished_for(core, turning):
    async def story():
        await core.protect([Protect(("203.0.113.0/24",))])
        return core.wish()

    assert "203.0.113.0/24" in turning(story).protected
