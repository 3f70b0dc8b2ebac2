"""A compressed, rotated log: read forward, with the face of an open log file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from excise.errors import SourceError
from excise.sources.base import HEAD_BYTES, Cursor, Identity, head_hash, head_length
from excise.unpack import UNPACK_ERRORS, unpacked

#: how far one step goes ahead on the way to a place: some tens of milliseconds
STEP_BYTES = 8 << 20
_PIECE_BYTES = 1 << 18


class PackedFile:
    """A `.gz` or `.zst` file. Places are those of what is in it.

    `torn` is set where it ends before its end, or is broken: what follows in it cannot be read.
    """

    __slots__ = ("_base", "_buffer", "_ended", "_first", "_name", "_raw", "_stream", "identity",
                 "torn", "written_ns")  # fmt: skip
    #: nobody writes to it any more
    grows = False

    def __init__(self, path: Path) -> None:
        """Open it. Raises OSError, or SourceError for what is no regular file."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            os.close(fd)
            raise SourceError(f"{path} is no regular file")
        self._raw = os.fdopen(fd, "rb")
        self.identity: Identity = (found.st_dev, found.st_ino)
        self.written_ns = found.st_mtime_ns
        self.torn = False
        self._name = path.name
        self._base, self._buffer, self._ended = 0, b"", False
        self._stream = unpacked(self._raw, self._name)
        self._first = self.read(HEAD_BYTES, 0)

    def size(self) -> int:
        """Return at most how large it is unpacked: known only at its end."""
        left = 0 if self._ended else os.fstat(self._raw.fileno()).st_size - self._raw.tell()
        return self._base + len(self._buffer) + max(left, 0 if self._ended else 1)

    def ready(self, offset: int) -> bool:
        """Go towards a place, a bounded step at a time; return whether `read` is there."""
        steps = STEP_BYTES // _PIECE_BYTES
        while self._base + len(self._buffer) < offset and not self._ended and steps:
            self._base += len(self._buffer)
            self._buffer = b""
            self._fill(min(_PIECE_BYTES, offset - self._base))
            steps -= 1
        return self._base + len(self._buffer) >= offset or self._ended

    def read(self, count: int, offset: int) -> bytes:
        """Return up to `count` bytes from `offset`; less only at the end."""
        if offset < self._base:
            self._rewind()
        while not self.ready(offset):
            pass
        if offset > self._base + len(self._buffer):
            return b""
        self._buffer = self._buffer[offset - self._base :]
        self._base = offset
        self._fill(count - len(self._buffer))
        return self._buffer[:count]

    def head(self, offset: int) -> str:
        """Return the head of a cursor at `offset`."""
        return head_hash(self._first[:offset])

    def holds(self, cursor: Cursor) -> bool:
        """Whether it begins with the bytes that the cursor was behind."""
        return head_hash(self._first[: head_length(cursor.head)]) == cursor.head

    def close(self) -> None:
        """Close it."""
        self._stream.close()
        self._raw.close()

    def _rewind(self) -> None:
        self._raw.seek(0)
        self._stream = unpacked(self._raw, self._name)
        self._base, self._buffer, self._ended = 0, b"", False

    def _fill(self, count: int) -> None:
        while count > 0 and not self._ended:
            try:
                more = self._stream.read1(min(count, _PIECE_BYTES))
            except (OSError, *UNPACK_ERRORS):
                self.torn, more = True, b""
            self._ended = not more
            self._buffer += more
            count -= len(more)
