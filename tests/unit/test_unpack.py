"""Compressed logs as streams."""

import gzip
import io

import pytest
from backports import zstd

from excise.unpack import UNPACK_ERRORS, is_packed, unpacked

PACK = {"a.gz": gzip.compress, "a.zst": zstd.compress}


@pytest.mark.parametrize("name", PACK)
def test_what_was_packed_in_one_piece_or_several_comes_out(name):
    packed = PACK[name](b"1\n") + PACK[name](b"2\n")

    assert b"1\n2\n" == unpacked(io.BytesIO(packed), name).read()


@pytest.mark.parametrize("name", PACK)
def test_a_torn_one_raises_what_is_said_to_be_raised(name):
    packed = PACK[name](bytes(range(256)) * 100)
    with pytest.raises((OSError, *UNPACK_ERRORS)):
        unpacked(io.BytesIO(packed[:-5]), name).read()
    with pytest.raises((OSError, *UNPACK_ERRORS)):
        unpacked(io.BytesIO(b"no archive at all"), name).read()


def test_the_name_says_what_is_packed():
    assert [True, True, False] == [is_packed(n) for n in ("a.gz", "b/a.zst", "a.log")]
