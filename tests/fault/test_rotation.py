"""A writer that rotates its log while we follow it: what arrives, and how often."""

from __future__ import annotations

import os
import random
import shutil

import pytest

from excise.decode.base import MAX_LINE_BYTES
from excise.sources.file_tail import FileTail


class Clock:
    """Time that passes when told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def sibling(path, k):
    return path.with_name(f"{path.name}.{k}")


def shift(path):
    """Rename `log.1` to `log.2` and so on, as logrotate does before it rotates."""
    for k in range(99, 0, -1):
        if sibling(path, k).exists():
            sibling(path, k).rename(sibling(path, k + 1))


class Writer:
    """Several workers that share a log file, as nginx's do: after a rename they reopen it one by
    one, and until then write to the old file.
    """

    def __init__(self, path, workers, rng):
        self.path, self.rng = path, rng
        self.fds = [self._open() for _ in range(workers)]
        self.count = 0

    def _open(self):
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, *, torn=False):
        """Write a line in one piece or in two; yields in between."""
        line = b"line %06d %s\n" % (self.count, b"x" * self.rng.randrange(300))
        self.count += 1
        fd = self.rng.choice(self.fds)
        cut = self.rng.randrange(len(line)) if torn else 0
        os.write(fd, line[:cut])
        yield
        os.write(fd, line[cut:])

    def write_line(self):
        for _ in self.write():
            pass

    def rename(self):
        shift(self.path)
        self.path.rename(sibling(self.path, 1))

    def reopen(self, worker):
        os.close(self.fds[worker])
        self.fds[worker] = self._open()

    def close(self):
        for fd in self.fds:
            os.close(fd)


class Reader:
    """Follows the log and can be killed: what it got is what it had a cursor for."""

    def __init__(self, path, clock):
        self.path, self.clock = path, clock
        self.lines, self.lost, self.cursor = [], 0, None
        self.tail = self._start()

    def _start(self):
        tail = FileTail(self.path, from_start=True, clock=self.clock)
        if self.cursor:
            tail.seek(self.cursor)
        return tail

    def read(self):
        while chunk := self.tail.poll():
            self.lines += chunk.lines
            self.lost += chunk.lost
            self.cursor = chunk.cursor

    def restart(self):
        self.tail.close()
        self.tail = self._start()

    def drain(self):
        for _ in range(200):
            self.read()
            self.clock.now += 0.03
        self.tail.close()


def numbers(lines):
    return [int(line.split()[1]) for line in lines]


def copytruncate(writer, reader, *, rng):
    """What logrotate does, with the time between its steps filled as it happens."""
    if rng.random() < 0.7:
        reader.read()
    shift(writer.path)
    shutil.copyfile(writer.path, sibling(writer.path, 1))
    os.truncate(writer.path, 0)


@pytest.mark.parametrize("seed", range(6))
def test_every_line_arrives_once_however_often_the_log_is_renamed_and_we_are_restarted(
    tmp_path, seed
):
    rng, clock = random.Random(seed), Clock()
    writer = Writer(tmp_path / "access.log", workers=3, rng=rng)
    reader = Reader(writer.path, clock)
    writer.write_line()
    reader.read()
    stale = []  # workers that still write to a renamed file
    for _ in range(1500):
        for _ in writer.write(torn=rng.random() < 0.1):
            if rng.random() < 0.3:
                reader.read()
        clock.now += 0.001 if stale else rng.choice((0.0, 0.001, 0.02))
        if stale and rng.random() < 0.3:
            writer.reopen(stale.pop())
        if not stale and rng.random() < 0.02:
            writer.rename()
            stale = list(range(3))
        if rng.random() < 0.02:
            reader.restart()
    for worker in stale:
        writer.reopen(worker)
    writer.close()
    reader.drain()
    assert list(range(writer.count)) == sorted(numbers(reader.lines))
    assert reader.lost == 0


@pytest.mark.parametrize("seed", range(6))
def test_every_line_arrives_once_when_the_log_is_emptied_in_place(tmp_path, seed):
    rng, clock = random.Random(seed), Clock()
    writer = Writer(tmp_path / "access.log", workers=1, rng=rng)
    reader = Reader(writer.path, clock)
    since = 0
    for _ in range(1500):
        writer.write_line()
        since += 1
        clock.now += 0.001
        if rng.random() < 0.3:
            reader.read()
        if since > 20 and rng.random() < 0.03:
            copytruncate(writer, reader, rng=rng)
            since = 0
        if rng.random() < 0.02 and reader.cursor:
            reader.restart()
        if rng.random() < 0.1:
            clock.now += 0.1
            reader.read()
    writer.close()
    reader.drain()
    assert list(range(writer.count)) == numbers(reader.lines)
    assert reader.lost == 0


def test_lines_emptied_away_unread_without_a_copy_count_as_a_break(tmp_path):
    path = tmp_path / "access.log"
    path.write_bytes(b"x" * 99 + b"\n" + (b"y" * 99 + b"\n") * 5000)
    tail = FileTail(path, from_start=True, max_bytes=MAX_LINE_BYTES + 1)
    first = tail.poll()
    path.write_bytes(b"new\n")
    second = tail.poll()
    tail.close()
    assert first.lag_bytes > 0
    assert (0, 1) == (first.lost, second.lost)
    assert [b"new"] == second.lines


def test_a_log_emptied_and_grown_past_our_place_is_read_from_its_start(tmp_path):
    path = tmp_path / "access.log"
    path.write_bytes(b"old line\n" * 10)
    reader = Reader(path, Clock())
    reader.read()
    path.write_bytes(b"new line\n" * 20)
    reader.drain()
    assert [b"old line"] * 10 + [b"new line"] * 20 == reader.lines


def test_the_place_is_found_again_in_a_dated_sibling(tmp_path):
    path = tmp_path / "access.log"
    path.write_bytes(b"1\n2\n3\n")
    reader = Reader(path, Clock())
    reader.read()
    with path.open("ab") as log:
        log.write(b"4\n")
    path.rename(tmp_path / "access.log-20260101")
    path.write_bytes(b"5\n")
    path.rename(tmp_path / "access.log-20260102")
    path.write_bytes(b"6\n")
    reader.restart()
    reader.drain()
    assert [b"1", b"2", b"3", b"4", b"5", b"6"] == reader.lines
    assert reader.lost == 0


def test_a_place_that_is_gone_counts_as_a_break_and_the_present_file_is_read(tmp_path):
    path = tmp_path / "access.log"
    path.write_bytes(b"1\n")
    reader = Reader(path, Clock())
    reader.read()
    path.unlink()
    path.write_bytes(b"2\n3\n")
    reader.restart()
    reader.drain()
    assert [b"1", b"2", b"3"] == reader.lines
    assert reader.lost == 1


def test_what_a_dead_writer_left_unfinished_arrives_when_its_file_is_left(tmp_path):
    path = tmp_path / "access.log"
    path.write_bytes(b"whole\ntorn")
    reader = Reader(path, Clock())
    reader.read()
    path.rename(sibling(path, 1))
    path.write_bytes(b"next\n")
    reader.drain()
    assert [b"whole", b"torn", b"next"] == reader.lines
