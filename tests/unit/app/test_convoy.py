"""Inputs that catch up together."""

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest

from excise.daemon.convoy import SLACK_S, Convoy, pieces
from excise.daemon.formats import decoder_for
from excise.daemon.inputs import InputLoop, decode_cursor
from excise.decode.base import DecodeContext
from excise.sources.base import Chunk, Cursor, Mark
from excise.sources.file_tail import FileTail

START = 1_750_000_000
HOURS = 3600 * 10


@pytest.fixture
def decoder():
    return decoder_for("record", DecodeContext((), b""))


def line(ts):
    return b'{"ts": %d, "client": "203.0.113.7"}' % (START + ts)


def chunk_of(*stamps):
    lines = [line(ts) for ts in stamps]
    return Chunk(lines, Cursor(1, 2, 1000 + sum(map(len, lines)) + len(lines), "h"), 50, 1)


def test_a_chunk_of_little_time_is_one_piece(decoder):
    chunk = chunk_of(1, 2, 3)
    ((piece, decoded),) = pieces(chunk, decoder, SLACK_S)

    assert (chunk, 3) == (piece, len(decoded.records))


def test_a_chunk_of_much_time_comes_in_pieces_with_their_places(decoder):
    chunk = chunk_of(0, 10, 1000, 2000, 2010)
    found = [piece for piece, _ in pieces(chunk, decoder, SLACK_S)]

    assert [[line(0), line(10)], [line(1000)], [line(2000), line(2010)]] == [p.lines for p in found]
    size = len(line(0)) + 1
    whole = 1000 + sum(len(one) + 1 for one in chunk.lines)
    assert [1000 + 2 * size, whole - 2 * len(line(2000)) - 2, whole] == [
        piece.cursor.offset for piece in found
    ]
    assert [1, 0, 0] == [piece.lost for piece in found]
    assert 50 == found[-1].lag_bytes < found[0].lag_bytes


def test_what_has_no_places_within_stays_whole(decoder):
    chunk = replace(chunk_of(0, HOURS), cursor=Mark("s=1"))

    assert [chunk] == [piece for piece, _ in pieces(chunk, decoder, SLACK_S)]


def test_who_is_ahead_waits_for_the_hindmost_and_no_longer():
    order = []

    async def go(convoy, name, stamps):
        for ts in stamps:
            await convoy.turn(name, ts, lambda: None)
            order.append((ts, name))
            await asyncio.sleep(0)
        convoy.leave(name)

    async def story():
        convoy = Convoy()
        for name in "abc":
            convoy.join(name)
        jobs = (
            go(convoy, "a", range(0, 1000, 100)),
            go(convoy, "b", range(50, 1000, 100)),
            go(convoy, "c", [5, HOURS]),
        )
        await asyncio.wait_for(asyncio.gather(*jobs), 10)
        return convoy

    convoy = asyncio.run(story())
    assert {} == convoy.places
    assert (HOURS, "c") == order[-1]
    assert all(later[0] >= earlier[0] - 2 * SLACK_S for earlier, later in pairwise(order))


def test_who_waits_says_that_he_is_alive(until, monkeypatch):
    monkeypatch.setattr("excise.daemon.convoy.BEAT_S", 0.001)
    beats = []

    async def story():
        convoy = Convoy()
        convoy.join("behind")
        waiting = asyncio.ensure_future(convoy.turn("live", 5.0, lambda: beats.append(1)))
        await until(lambda: len(beats) >= 3)
        convoy.leave("behind")
        await asyncio.wait_for(waiting, 10)

    asyncio.run(asyncio.wait_for(story(), 10))


def test_backlogs_of_several_logs_reach_the_engine_in_order(tmp_path, core, decoder):
    convoy, loops = Convoy(), []
    for n, step in enumerate((600, 7, 1900)):
        path = tmp_path / f"{n}.log"
        path.write_bytes(b"".join(line(ts) + b"\n" for ts in range(n, HOURS, step)))
        source = FileTail(path, from_start=True)
        loops.append(InputLoop(source, decoder, "record", core, convoy=convoy))
        convoy.join(str(path))

    async def story():
        tasks = [asyncio.ensure_future(loop.run(lambda: None)) for loop in loops]
        for loop in loops:
            await asyncio.wait_for(loop.caught_up.wait(), 30)
        for task in tasks:
            task.cancel()

    asyncio.run(story())
    for loop in loops:
        loop.source.close()
        assert decode_cursor(core.processed[loop.name]).offset == loop.source._path.stat().st_size
    status = core.engine.status()
    assert (0, 0) == (status.late, status.clock_jumps)
    assert sum(loop.score.records for loop in loops) == status.records
