"""Lines from a pipe."""

from __future__ import annotations

import asyncio
import os

import pytest

from excise.decode.base import MAX_LINE_BYTES
from excise.sources.base import State
from excise.sources.stdin import Stdin


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb", buffering=0) as write:
        yield reading, write
    os.close(reading)


def test_whole_lines_arrive_and_the_rest_waits(pipe):
    reading, write = pipe
    source = Stdin(reading)
    assert source.poll() is None
    write.write(b"1\n2\nhal")
    chunk = source.poll()
    assert [b"1", b"2"] == chunk.lines
    assert 4 == chunk.cursor.offset
    write.write(b"f\n")
    assert [b"half"] == source.poll().lines


def test_the_end_delivers_an_unfinished_line_and_is_told(pipe):
    reading, write = pipe
    source = Stdin(reading)
    write.write(b"1\nlast")
    assert [b"1"] == source.poll().lines
    write.close()
    assert [b"last"] == source.poll().lines
    assert source.poll() is None
    assert State.ENDED is source.state


def test_an_endless_line_becomes_one_overlong_marker(pipe):
    reading, write = pipe
    source = Stdin(reading)
    lines = []
    for _ in range(20):
        write.write(b"a" * 60_000)
        lines += source.poll().lines
    write.write(b"\nnext\n")
    lines += source.poll().lines
    assert [MAX_LINE_BYTES + 1, 4] == [len(line) for line in lines]


def test_a_write_wakes_the_waiting(pipe):
    reading, write = pipe
    source = Stdin(reading)

    async def wait():
        waiting = asyncio.ensure_future(source.changed())
        await asyncio.sleep(0)
        write.write(b"1\n")
        await asyncio.wait_for(waiting, 5)

    asyncio.run(wait())
    assert [b"1"] == source.poll().lines


def test_after_the_end_nothing_wakes(pipe):
    reading, write = pipe
    write.close()
    source = Stdin(reading)
    assert source.poll() is None
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(source.changed(), 0.05))


def test_a_regular_file_may_stand_in_for_a_pipe(tmp_path):
    path = tmp_path / "in"
    path.write_bytes(b"1\n2")
    with path.open("rb") as file:
        source = Stdin(file.fileno())
        asyncio.run(source.changed())
        assert [b"1"] == source.poll().lines
        assert [b"2"] == source.poll().lines
    assert State.ENDED is source.state
