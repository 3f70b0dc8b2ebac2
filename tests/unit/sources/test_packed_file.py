"""Compressed logs: places are those of what is in them."""

import gzip

import pytest
from backports import zstd

from excise.errors import SourceError
from excise.sources import packed_file
from excise.sources.base import Cursor, head_hash
from excise.sources.packed_file import PackedFile

TEXT = b"".join(b"line %06d\n" % n for n in range(100_000))
PACK = {".gz": gzip.compress, ".zst": zstd.compress}


@pytest.fixture(params=PACK)
def packed(request, tmp_path):
    path = tmp_path / f"log{request.param}"
    path.write_bytes(PACK[request.param](TEXT))
    file = PackedFile(path)
    yield file
    file.close()


def test_any_place_can_be_read_and_read_again(packed):
    for offset in (500_000, 500_000, 500_100, 10, 0, len(TEXT) - 5):
        assert TEXT[offset : offset + 1000] == packed.read(1000, offset)
    assert b"" == packed.read(10, len(TEXT))


def test_a_far_place_is_reached_in_bounded_steps(packed, monkeypatch):
    monkeypatch.setattr(packed_file, "STEP_BYTES", 1 << 18)
    steps = 0
    while not packed.ready(len(TEXT) - 10):
        steps += 1
    assert 4 <= steps <= 6
    assert TEXT[-10:] == packed.read(100, len(TEXT) - 10)


def test_it_knows_the_places_behind_its_first_bytes(packed):
    assert packed.holds(Cursor(1, 2, 700, head_hash(TEXT[:256])))
    assert not packed.holds(Cursor(1, 2, 700, head_hash(b"x" * 256)))
    assert head_hash(TEXT[:100]) == packed.head(100)


def test_its_size_is_known_at_its_end(packed):
    assert 0 < packed.size()
    packed.read(len(TEXT) + 1, 0)
    packed.read(1, len(TEXT))
    assert len(TEXT) == packed.size()


@pytest.mark.parametrize("ending", PACK)
def test_a_torn_file_gives_what_it_has_and_says_so(tmp_path, ending):
    path = tmp_path / f"log{ending}"
    whole = PACK[ending](TEXT)
    path.write_bytes(whole[: len(whole) // 2])
    file = PackedFile(path)
    data = file.read(len(TEXT), 0)
    file.close()
    assert file.torn
    assert TEXT.startswith(data)


def test_what_is_no_archive_is_torn_from_the_start(tmp_path):
    path = tmp_path / "log.gz"
    path.write_bytes(b"not compressed at all\n")
    file = PackedFile(path)
    file.close()
    assert (True, b"") == (file.torn, file.read(10, 0) if not file.torn else b"")


def test_a_directory_is_no_archive(tmp_path):
    (tmp_path / "log.gz").mkdir()
    with pytest.raises(SourceError):
        PackedFile(tmp_path / "log.gz")
