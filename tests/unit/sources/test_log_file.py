"""What was missed while nobody read: rotated, compressed, copied, reborn."""

import gzip
import os

import pytest
from backports import zstd

from excise.sources.file_tail import FileTail

PACK = {".gz": gzip.compress, ".zst": zstd.compress}
OLD_NS = 1_700_000_000 * 10**9


@pytest.fixture
def path(tmp_path):
    return tmp_path / "access.log"


def lines(first, last):
    return [b'{"ts": %d, "client": "203.0.113.7"}' % n for n in range(first, last)]


def write(path, some, *, age=0):
    """Write lines to a file that was last touched `age` rotations ago."""
    path.write_bytes(b"".join(line + b"\n" for line in some))
    os.utime(path, ns=(OLD_NS, OLD_NS - age * 10**9))


def pack(path, ending):
    """Compress a file as logrotate does: the time of the last write is kept."""
    packed = path.with_name(path.name + ending)
    packed.write_bytes(PACK[ending](path.read_bytes()))
    os.utime(packed, ns=(OLD_NS, path.stat().st_mtime_ns))
    path.unlink()


def read(path, cursor=None):
    """Read everything there is; return the lines, what was lost, and the place reached."""
    now = iter(range(10**6))
    tail = FileTail(path, from_start=True, clock=lambda: next(now) / 10)
    if cursor:
        tail.seek(cursor)
    got, idle = [], 0
    while idle < 5:
        chunk = tail.poll()
        idle = 0 if chunk else idle + 1
        got += chunk.lines if chunk else []
    place, lost = tail.cursor, tail.toll.lost["break"]
    tail.close()
    return got, lost, place


@pytest.mark.parametrize("ending", PACK)
def test_what_was_rotated_and_compressed_meanwhile_is_read_once_and_in_order(path, ending):
    write(path, lines(0, 20), age=3)
    first, _, place = read(path)
    write(path, lines(0, 40), age=3)  # twenty more, then three rotations
    path.rename(path.with_name("access.log.3"))
    pack(path.with_name("access.log.3"), ending)
    write(path.with_name("access.log.2"), lines(40, 60), age=2)
    pack(path.with_name("access.log.2"), ending)
    write(path.with_name("access.log.1"), lines(60, 80), age=1)
    write(path, lines(80, 90))

    rest, lost, place = read(path, place)

    assert (lines(0, 90), 0) == (first + rest, lost)
    assert ([], 0) == read(path, place)[:2]


def test_a_small_log_is_found_in_its_archive_by_its_few_bytes(path):
    write(path, lines(0, 2), age=1)
    first, _, place = read(path)
    write(path, lines(0, 5), age=1)
    path.rename(path.with_name("access.log.1"))
    pack(path.with_name("access.log.1"), ".gz")
    write(path, lines(5, 7))

    rest, lost, _ = read(path, place)

    assert (lines(0, 7), 0) == (first + rest, lost)


def test_a_restart_in_the_middle_of_an_archive_goes_on_there(path):
    write(path, lines(0, 30), age=2)
    _, _, begin = read(path)
    write(path, lines(0, 60_000), age=2)
    path.rename(path.with_name("access.log.1"))
    pack(path.with_name("access.log.1"), ".gz")
    write(path, lines(60_000, 60_010))
    tail = FileTail(path, from_start=True)
    tail.seek(begin)
    chunk = tail.poll()
    tail.close()

    rest, lost, _ = read(path, chunk.cursor)

    assert chunk.lag_bytes > 0
    assert (lines(30, 60_010), 0) == (chunk.lines + rest, lost)


def test_the_same_inode_with_other_lines_is_another_file(path):
    write(path, lines(0, 20), age=1)
    _, _, place = read(path)
    path.rename(path.with_name("access.log.1"))
    write(path, lines(20, 60))
    # As if the file system had given the number of the old file to the new one.
    reused = type(place)(place.dev, path.stat().st_ino, place.offset, place.head, place.written_ns)

    assert (lines(20, 60), 0) == read(path, reused)[:2]


def test_a_place_that_is_gone_is_told_and_all_that_is_newer_is_read(path):
    write(path, lines(0, 20), age=3)
    _, _, place = read(path)
    path.unlink()
    write(path.with_name("access.log.9"), lines(900, 910), age=9)  # read long ago
    write(path.with_name("access.log.2"), lines(40, 60), age=2)
    pack(path.with_name("access.log.2"), ".gz")
    write(path.with_name("access.log.1"), lines(60, 80), age=1)
    write(path, lines(80, 90))

    assert (lines(40, 90), 1) == read(path, place)[:2]


def test_an_archive_that_ends_before_its_end_is_told(path):
    write(path, lines(0, 20), age=2)
    _, _, place = read(path)
    write(path, lines(0, 5000), age=2)
    path.rename(path.with_name("access.log.1"))
    pack(path.with_name("access.log.1"), ".gz")
    archive = path.with_name("access.log.1.gz")
    archive.write_bytes(archive.read_bytes()[:-2000])
    write(path, lines(5000, 5010))

    rest, lost, _ = read(path, place)

    assert lines(20, 5000)[:100] == rest[:100]
    assert (lines(5000, 5010), 1) == (rest[-10:], lost)


def test_a_file_compressed_while_it_is_read_is_followed_by_the_next(path):
    write(path.with_name("access.log.2"), lines(0, 30), age=2)
    write(path.with_name("access.log.1"), lines(30, 60), age=1)
    write(path, lines(60, 90))
    now = [0.0]
    tail = FileTail(path, from_start=True, clock=lambda: now[0])
    old = FileTail(path.with_name("access.log.2"), from_start=True)
    old.poll()
    tail.seek(old.cursor)
    assert tail.poll() is None  # at the end of the oldest, which now becomes an archive
    pack(path.with_name("access.log.2"), ".gz")
    got = []
    for _ in range(9):
        now[0] += 0.1
        chunk = tail.poll()
        got += chunk.lines if chunk else []
    tail.close()
    old.close()

    assert lines(30, 90) == got
