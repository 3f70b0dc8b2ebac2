"""An open log file, and its rotated siblings: which file continues which."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from excise.errors import SourceError
from excise.rotation import rotated_names
from excise.sources.base import HEAD_BYTES, Cursor, Identity, head_hash, head_length
from excise.sources.packed_file import PackedFile
from excise.unpack import is_packed


class LogFile:
    """A regular file open for reading, whatever its name is by now."""

    __slots__ = ("fd", "identity")
    grows = True
    torn = False

    def __init__(self, path: Path) -> None:
        """Open it. Raises OSError, or SourceError for what is no regular file."""
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        found = os.fstat(self.fd)
        self.identity: Identity = (found.st_dev, found.st_ino)
        if not stat.S_ISREG(found.st_mode):
            self.close()
            raise SourceError(f"{path} is no regular file; use another kind of input for it")

    @property
    def written_ns(self) -> int:
        """When it was last written to, as stat(2) says."""
        return os.fstat(self.fd).st_mtime_ns

    def size(self) -> int:
        """Return the size in bytes now."""
        return os.fstat(self.fd).st_size

    def ready(self, _: int) -> bool:
        """Whether `read` is at a place: always."""
        return True

    def read(self, count: int, offset: int) -> bytes:
        """Return up to `count` bytes from `offset`."""
        return os.pread(self.fd, count, offset)

    def head(self, offset: int) -> str:
        """Return the head of a cursor at `offset`."""
        return head_hash(self.read(min(offset, HEAD_BYTES), 0))

    def holds(self, cursor: Cursor) -> bool:
        """Whether the cursor's place exists here, behind the same first bytes."""
        length = head_length(cursor.head)
        return self.size() >= cursor.offset and head_hash(self.read(length, 0)) == cursor.head

    def close(self) -> None:
        """Close it."""
        os.close(self.fd)


OpenLog = LogFile | PackedFile


def open_log(path: Path) -> OpenLog:
    """Open a log, compressed or not. Raises OSError, or SourceError for no regular file."""
    return PackedFile(path) if is_packed(path) else LogFile(path)


def identity_of(path: Path) -> Identity | None:
    """Return which file bears the name now, None if none does."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


def rotated(path: Path) -> list[Path]:
    """Return the rotated siblings of a log file, oldest first, see `excise.rotation`.

    They are where the file is, should the path be a link to it.
    """
    real = Path(os.path.realpath(path))
    try:
        names = os.listdir(real.parent)
    except OSError:
        return []
    return [real.with_name(name) for name in rotated_names(names, real.name)]


def successor(path: Path, identity: Identity, written_ns: int) -> Path:
    """Return the file that continues a rotated one: the next younger sibling, or `path`.

    A file that is gone from among its siblings was compressed or removed: then the oldest that
    was written to after it.
    """
    siblings = rotated(path)
    younger = path
    for sibling in reversed(siblings):
        if identity_of(sibling) == identity:
            return younger
        younger = sibling
    return oldest_since(path, siblings, written_ns)


def oldest_since(path: Path, siblings: Iterable[Path], written_ns: int) -> Path:
    """Return the oldest sibling written to after a moment, `path` if none was or it is unknown."""
    for sibling in siblings if written_ns else ():
        with suppress(OSError):
            if sibling.stat().st_mtime_ns > written_ns:
                return sibling
    return path


def locate(path: Path, cursor: Cursor, *, copies_only: bool = False) -> OpenLog | None:
    """Open the file that holds the cursor's place, under whatever name it has now.

    The same file is taken before a copy of it. A copy (`copytruncate`, compression, another file
    system) is told by a full head, or by a shorter one that no other sibling shares.
    """
    names = [*reversed(rotated(path))] if copies_only else [path, *reversed(rotated(path))]
    here = (cursor.dev, cursor.ino)
    copies: list[OpenLog] = []
    for file in _opened(names):
        same = file.identity == here
        known = same or bool(cursor.head)  # without a head only the inode can tell
        if not (known and file.holds(cursor)) or (same and copies_only):
            file.close()
        elif same and file.grows:
            _close(copies)
            return file
        else:
            copies.append(file)
    sure = bool(copies) and (head_length(cursor.head) == HEAD_BYTES or len(copies) == 1)
    chosen = copies[0] if sure else None
    _close(copies[1:] if chosen else copies)
    return chosen


def _opened(names: Iterable[Path]) -> Iterator[OpenLog]:
    for name in names:
        with suppress(OSError, SourceError):
            yield open_log(name)


def _close(files: Iterable[OpenLog]) -> None:
    for file in files:
        file.close()
