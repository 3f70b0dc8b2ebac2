"""Lines between two places, for a restart."""

import gzip
import os
from dataclasses import replace

import pytest

from excise.daemon.inputs import encode_cursor
from excise.daemon.reread import reread_file
from excise.errors import SourceError
from excise.sources.base import Count
from excise.sources.file_tail import FileTail

LINES = [b"line %04d of the log" % n for n in range(100)]


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"".join(line + b"\n" for line in LINES))
    return path


@pytest.fixture
def place(log):
    """Return the stored place behind so many lines."""
    tail = FileTail(log, from_start=True)
    whole = tail.poll().cursor
    tail.close()
    size = len(LINES[0]) + 1
    return lambda count: encode_cursor(replace(whole, offset=count * size))


def read(log, begin, end):
    tail = lambda: FileTail(log, from_start=True, linger_s=0.0)  # noqa: E731
    return [line for lines in reread_file(tail, begin, end) for line in lines]


def test_lines_between_two_places_come_back(log, place):
    assert LINES[20:40] == read(log, place(20), place(40))
    assert LINES[:40] == read(log, None, place(40))


def test_also_where_the_log_was_compressed_since(log, place):
    begin, end = place(20), place(40)
    (log.parent / "log.1.gz").write_bytes(gzip.compress(log.read_bytes()))
    os.remove(log)
    log.write_bytes(b"newer\n")

    assert LINES[20:40] == read(log, begin, end)


def test_lines_that_are_gone_are_an_error(log, place):
    begin, end = place(20), place(40)
    os.remove(log)
    log.write_bytes(b"newer\n")

    with pytest.raises(SourceError, match="the log since the last snapshot is gone"):
        read(log, begin, end)


def test_places_of_another_kind_are_an_error(log):
    with pytest.raises(SourceError, match="no place in a file"):
        read(log, None, encode_cursor(Count(3)))
