"""FileTail outside rotation: where it starts, what it delivers, how it waits."""

from __future__ import annotations

import asyncio

import pytest

from excise.decode.base import MAX_LINE_BYTES
from excise.errors import SourceError
from excise.sources.base import Count, Cursor, Mark, State, place_from
from excise.sources.file_tail import FileTail
from excise.sources.inotify import Inotify


@pytest.fixture
def path(tmp_path):
    return tmp_path / "access.log"


@pytest.fixture
def inotify():
    inotify = Inotify()
    yield inotify
    inotify.close()


@pytest.fixture
def tails(inotify):
    opened = []

    def make(*args, use_inotify=True, **kwargs):
        shared = inotify if use_inotify else None
        opened.append(FileTail(*args, inotify=shared, **kwargs))
        return opened[-1]

    yield make
    for tail in opened:
        tail.close()


def append(path, data):
    with path.open("ab") as log:
        log.write(data)


def test_a_fresh_tail_starts_at_the_end(path, tails):
    path.write_bytes(b"history\n")
    tail = tails(path)
    assert tail.poll() is None
    append(path, b"news\n")
    assert [b"news"] == tail.poll().lines


def test_a_fresh_tail_does_not_cut_the_line_being_written(path, tails):
    path.write_bytes(b"history\nhalf of ")
    tail = tails(path)
    assert tail.poll() is None
    append(path, b"a line\n")
    assert [b"half of a line"] == tail.poll().lines


def test_from_start_reads_history(path, tails):
    path.write_bytes(b"1\n\n2\n")
    assert [b"1", b"", b"2"] == tails(path, from_start=True).poll().lines


def test_a_file_made_later_is_read_from_its_start(path, tails):
    tail = tails(path)
    assert tail.poll() is None
    assert State.BLIND is tail.state
    assert "it is read as soon as it appears" in tail.problem
    path.write_bytes(b"first\n")
    assert [b"first"] == tail.poll().lines
    assert (State.READING, "") == (tail.state, tail.problem)


def test_a_directory_blinds_and_says_so(path, tails):
    path.mkdir()
    tail = tails(path)
    assert tail.poll() is None
    assert State.BLIND is tail.state
    assert "no regular file" in tail.problem


def test_a_forbidden_file_blinds_until_it_may_be_read(path, tails, monkeypatch):
    path.write_bytes(b"1\n")
    tail = tails(path, from_start=True)

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("excise.sources.file_tail.open_log", refuse)
        assert tail.poll() is None
    assert State.BLIND is tail.state
    assert "Permission denied" in tail.problem
    assert [b"1"] == tail.poll().lines


def test_only_whole_lines_are_delivered(path, tails):
    path.write_bytes(b"whole\nto")
    tail = tails(path, from_start=True)
    assert [b"whole"] == tail.poll().lines
    assert tail.poll() is None
    append(path, b"rn\n")
    assert [b"torn"] == tail.poll().lines


def test_chunks_are_bounded_and_the_lag_is_told(path, tails):
    line = b"x" * 1023 + b"\n"
    path.write_bytes(line * 1024)
    tail = tails(path, from_start=True, max_bytes=300_000)
    chunk = tail.poll()
    assert 300_000 // 1024 == len(chunk.lines)
    assert 1024 * 1024 - len(chunk.lines) * 1024 == chunk.lag_bytes
    rest = 0
    while chunk := tail.poll():
        rest += len(chunk.lines)
    assert 1024 - 300_000 // 1024 == rest


def test_an_endless_line_becomes_one_overlong_marker(path, tails):
    path.write_bytes(b"a" * 3_000_000 + b"\nnext\n")
    tail = tails(path, from_start=True)
    lines = []
    while chunk := tail.poll():
        lines += chunk.lines
    assert [b"a" * (MAX_LINE_BYTES + 1), b"next"] == lines


def test_a_cursor_resumes_where_its_chunk_ended(path, tails):
    path.write_bytes(b"1\n2\n")
    cursor = tails(path, from_start=True).poll().cursor
    append(path, b"3\n")
    tail = tails(path)
    tail.seek(Cursor.from_dict(cursor.to_dict()))
    chunk = tail.poll()
    assert ([b"3"], 0) == (chunk.lines, chunk.lost)


def test_a_tail_has_a_cursor_before_its_first_chunk(path, tails):
    path.write_bytes(b"history\n")
    tail = tails(path)
    tail.poll()
    resumed = tails(path)
    resumed.seek(tail.cursor)
    append(path, b"news\n")
    assert [b"news"] == resumed.poll().lines


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"dev": 1, "ino": 2, "offset": 3},
        {"dev": "1", "ino": 2, "offset": 3, "head": ""},
        {"dev": 1, "ino": 2, "offset": 3, "head": 4},
        {"dev": 1, "ino": 2, "offset": 3, "head": "", "written_ns": "now"},
    ],
)
def test_an_unusable_stored_cursor_is_an_error(stored):
    with pytest.raises(SourceError):
        place_from(stored)


@pytest.mark.parametrize("place", [Cursor(1, 2, 3, "4:ab", 5), Mark("s=1;i=2"), Count(7)])
def test_every_kind_of_place_comes_back_from_storage(place):
    assert place == place_from(place.to_dict())


def test_a_cursor_stored_by_an_earlier_version_is_good():
    assert Cursor(1, 2, 3, "") == place_from({"dev": 1, "ino": 2, "offset": 3, "head": ""})


@pytest.mark.parametrize("use_inotify", [True, False])
def test_a_write_wakes_the_waiting(path, tails, use_inotify):
    path.write_bytes(b"")
    tail = tails(path, use_inotify=use_inotify)
    assert tail.poll() is None

    async def wait():
        waiting = asyncio.ensure_future(tail.changed())
        await asyncio.sleep(0)
        append(path, b"1\n")
        await asyncio.wait_for(waiting, 5)

    asyncio.run(wait())
    assert [b"1"] == tail.poll().lines


def test_a_write_between_poll_and_wait_is_not_missed(path, tails):
    path.write_bytes(b"")
    tail = tails(path)
    assert tail.poll() is None
    append(path, b"1\n")
    asyncio.run(asyncio.wait_for(tail.changed(), 5))
    assert [b"1"] == tail.poll().lines


@pytest.mark.parametrize("use_inotify", [True, False])
def test_waiting_gets_over_a_rotation(path, tails, use_inotify):
    path.write_bytes(b"old\n")
    tail = tails(path, from_start=True, use_inotify=use_inotify)
    assert [b"old"] == tail.poll().lines
    path.rename(path.with_name("access.log.1"))
    path.write_bytes(b"new\n")

    async def follow():
        while (chunk := tail.poll()) is None:
            await tail.changed()
        return chunk

    assert [b"new"] == asyncio.run(asyncio.wait_for(follow(), 5)).lines


def test_waiting_sees_a_file_appear(path, tails):
    tail = tails(path)
    assert tail.poll() is None

    async def follow():
        waiting = asyncio.ensure_future(tail.changed())
        await asyncio.sleep(0)
        path.write_bytes(b"1\n")
        await asyncio.wait_for(waiting, 5)

    asyncio.run(follow())
    assert [b"1"] == tail.poll().lines


def test_a_chunk_must_have_room_for_a_line(path):
    with pytest.raises(ValueError, match="max_bytes"):
        FileTail(path, max_bytes=MAX_LINE_BYTES)


def test_a_deaf_inotify_is_noticed_and_told_and_the_file_looked_at_often(
    path, tails, inotify, monkeypatch
):
    path.write_bytes(b"")
    monkeypatch.setattr("excise.sources.file_tail.GLANCE_S", 0.01)
    monkeypatch.setattr(Inotify, "_tell", lambda *_: None)  # as on a network file system
    tail = tails(path)
    assert tail.poll() is None

    async def next_line(line):
        append(path, line + b"\n")
        await asyncio.wait_for(tail.changed(), 5)
        assert [line] == tail.poll().lines
        return tail.note

    async def story():
        notes = [await next_line(b"1"), await next_line(b"2")]
        monkeypatch.undo()
        return [*notes, await next_line(b"heard")]

    deaf = "inotify does not tell of changes here; looked at every 0.03 s"
    assert ["", deaf, ""] == asyncio.run(story())


def test_files_of_one_directory_wake_by_their_own_lines(tmp_path, tails):
    names = [tmp_path / f"{n}.log" for n in range(3)]
    for name in names:
        name.write_bytes(b"")
    some = [tails(name) for name in names]
    assert [None] * 3 == [tail.poll() for tail in some]

    async def story():
        waiting = [asyncio.ensure_future(tail.changed()) for tail in some]
        await asyncio.sleep(0)
        append(names[1], b"1\n")
        await asyncio.wait_for(waiting[1], 5)
        done = [one.done() for one in waiting]
        for one in waiting:
            one.cancel()
        return done

    assert [False, True, False] == asyncio.run(story())
    assert [b"1"] == some[1].poll().lines


def test_a_log_that_comes_and_goes_ends_once_it_is_gone(path, tails):
    now = [0.0]
    path.write_bytes(b"1\n")
    tail = tails(path, from_start=True, passing=True, clock=lambda: now[0])
    tail.poll()
    path.unlink()
    states = []
    for _ in range(3):
        assert tail.poll() is None
        states.append(tail.state)
        now[0] += 31.0

    assert [State.WAITING, State.WAITING, State.ENDED] == states


def test_a_cursor_of_another_kind_of_input_is_refused(path, tails):
    with pytest.raises(SourceError):
        tails(path).seek(Count(3))
