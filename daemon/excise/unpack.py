"""Compressed logs as streams of what was in them: gzip, and Zstandard."""

from __future__ import annotations

import gzip
import sys
import zlib
from io import BufferedIOBase
from pathlib import Path
from typing import IO

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

#: what reading a torn or broken file raises, beside OSError
UNPACK_ERRORS = (EOFError, zlib.error, zstd.ZstdError)


def is_packed(path: Path | str) -> bool:
    """Whether the name says that the file is compressed."""
    return str(path).endswith((".gz", ".zst"))


def unpacked(raw: IO[bytes], name: Path | str) -> BufferedIOBase:
    """Return the stream of what `raw` holds compressed; closing it leaves `raw` open."""
    if str(name).endswith(".zst"):
        return zstd.ZstdFile(raw, "rb")
    return gzip.GzipFile(fileobj=raw, mode="rb")
