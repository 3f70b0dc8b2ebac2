"""An open log file, and its rotated siblings: which file continues which."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from excise.errors import SourceError
from excise.sources.base import HEAD_BYTES, Cursor, head_hash, head_length

Identity = tuple[int, int]


class LogFile:
    """A regular file open for reading, whatever its name is by now."""

    __slots__ = ("fd", "identity")

    def __init__(self, path: Path) -> None:
        """Open it. Raises OSError, or SourceError for what is no regular file."""
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        found = os.fstat(self.fd)
        self.identity: Identity = (found.st_dev, found.st_ino)
        if not stat.S_ISREG(found.st_mode):
            self.close()
            raise SourceError(f"{path} is no regular file; use another kind of input for it")

    def size(self) -> int:
        """Return the size in bytes now."""
        return os.fstat(self.fd).st_size

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


def identity_of(path: Path) -> Identity | None:
    """Return which file bears the name now, None if none does."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


def rotated(path: Path) -> list[Path]:
    """Return the rotated siblings of a log file that can be read as they are, oldest first.

    Both of logrotate's namings: `log.2`, `log.1` and (`dateext`) `log-20260101`, `log-20260102`.
    """
    pattern = re.compile(re.escape(path.name) + r"(?:\.([0-9]{1,6})|-([0-9]{8}[0-9.-]*))")
    numbered: list[tuple[int, Path]] = []
    dated: list[tuple[str, Path]] = []
    with suppress(OSError):
        for sibling in path.parent.iterdir():
            if found := pattern.fullmatch(sibling.name):
                if found[1]:
                    numbered.append((int(found[1]), sibling))
                else:
                    dated.append((found[2], sibling))
    return [p for _, p in sorted(dated)] + [p for _, p in sorted(numbered, reverse=True)]


def successor(path: Path, identity: Identity) -> Path:
    """Return the file that continues a rotated one: the next younger sibling, or `path`."""
    younger = path
    for sibling in reversed(rotated(path)):
        if identity_of(sibling) == identity:
            break
        younger = sibling
    else:
        return path
    return younger


def locate(path: Path, cursor: Cursor, *, copies_only: bool = False) -> LogFile | None:
    """Open the file that holds the cursor's place, under whatever name it has now.

    The same file is taken before a copy of it; only a full head tells a copy.
    """
    names = [*reversed(rotated(path))] if copies_only else [path, *reversed(rotated(path))]
    full_head = head_length(cursor.head) == HEAD_BYTES
    copy: LogFile | None = None
    for file in _opened(names):
        same = file.identity == (cursor.dev, cursor.ino)
        if same and not copies_only and file.holds(cursor):
            if copy:
                copy.close()
            return file
        if copy is None and not same and full_head and file.holds(cursor):
            copy = file
        else:
            file.close()
    return copy


def _opened(names: list[Path]) -> Iterator[LogFile]:
    for name in names:
        with suppress(OSError, SourceError):
            yield LogFile(name)
