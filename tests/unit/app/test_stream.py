import asyncio

from excise.daemon.stream import EventStream
from excise.model.step import Alarm


def alarms(count):
    return [Alarm(float(n), "blind", str(n)) for n in range(count)]


async def nothing_older(after, limit):
    return []


async def take(stream, count, after, older=nothing_older):
    """Read so many effects' serials."""
    found = []
    async for serial, _ in stream.follow(after, older):
        found.append(serial)
        if len(found) == count:
            break
    return found


def test_a_reader_hears_what_was_kept_and_then_what_comes():
    async def story():
        stream = EventStream(first=1)
        stream.publish(stream.number(alarms(3)))
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(take(stream, 4, after=1))
            await asyncio.sleep(0)
            stream.publish(stream.number(alarms(2)))
        return reader.result()

    assert asyncio.run(story()) == [2, 3, 4, 5]


def test_a_reader_without_a_serial_hears_only_what_is_new():
    async def story():
        stream = EventStream(first=1)
        stream.publish(stream.number(alarms(3)))
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(take(stream, 1, after=None))
            await asyncio.sleep(0)
            stream.publish(stream.number(alarms(1)))
        return reader.result()

    assert asyncio.run(story()) == [4]


def test_what_is_numbered_but_not_published_is_not_heard_yet_and_not_missed():
    async def story():
        stream = EventStream(first=1)
        waiting = stream.number(alarms(2))
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(take(stream, 2, after=None))
            await asyncio.sleep(0)
            assert not reader.done()
            stream.publish(waiting)
        return reader.result()

    assert asyncio.run(story()) == [1, 2]


def test_what_the_ring_forgot_comes_from_the_store():
    async def older(after, limit):
        return [(n, Alarm(0.0, "kept", "")) for n in (2, 3, 9) if n > after][:limit]

    async def story():
        stream = EventStream(first=10, kept=2)
        stream.publish(stream.number(alarms(5)))
        return await take(stream, 5, after=1, older=older)

    assert asyncio.run(story()) == [2, 3, 9, 13, 14]


def test_a_reader_that_falls_too_far_behind_is_ended():
    async def story():
        stream = EventStream(first=1, kept=2)
        stream.publish(stream.number(alarms(1)))
        heard = []
        async for serial, _ in stream.follow(0, nothing_older):
            heard.append(serial)
            stream.publish(stream.number(alarms(3)))
        return heard

    assert asyncio.run(story()) == [1]


def test_a_serial_from_another_life_means_from_now_on():
    async def story():
        stream = EventStream(first=1)
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(take(stream, 1, after=999))
            await asyncio.sleep(0)
            stream.publish(stream.number(alarms(1)))
        return reader.result()

    assert asyncio.run(story()) == [1]


def test_serials_are_consecutive():
    stream = EventStream(first=7)

    assert [n for n, _ in stream.number(alarms(3)) + stream.number(alarms(2))] == [7, 8, 9, 10, 11]
    assert stream.last_serial == 6
    assert stream.next_serial == 12
