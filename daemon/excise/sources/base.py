"""The seam between the outside and the decoders: chunks of whole lines with a place to resume."""

from __future__ import annotations

import fcntl
import sys
import termios
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Protocol

from excise.errors import SourceError

#: most bytes of a chunk; more than the longest line
CHUNK_BYTES = 1 << 20
HEAD_BYTES = 256

#: device and inode, as stat(2) gives them
Identity = tuple[int, int]


class State(StrEnum):
    """How an input is doing."""

    READING = "reading"
    WAITING = "waiting"
    BLIND = "blind"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a file: everything before `offset` has been delivered.

    `dev` and `ino` name the file as stat(2) does; `head` is a hash of its first bytes, since
    inode numbers come back and files are emptied in place. `written_ns` is when the file was last
    written to then: files that were not touched since hold nothing new.
    """

    dev: int
    ino: int
    offset: int
    head: str = ""
    written_ns: int = 0

    def to_dict(self) -> dict[str, int | str]:
        """Return plain values for storage."""
        return {
            "dev": self.dev,
            "ino": self.ino,
            "offset": self.offset,
            "head": self.head,
            "written_ns": self.written_ns,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, int | str]) -> Cursor:
        """Return what `to_dict` stored. Raises SourceError for anything else."""
        try:
            dev, ino, offset, head = (values[key] for key in ("dev", "ino", "offset", "head"))
        except KeyError as error:
            raise SourceError(f"the stored cursor lacks {error}; delete it to start anew") from None
        written = values.get("written_ns", 0)
        if isinstance(head, str) and all(isinstance(v, int) for v in (dev, ino, offset, written)):
            return cls(int(dev), int(ino), int(offset), head, int(written))
        raise SourceError(f"the stored cursor {dict(values)} is unusable; delete it to start anew")


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a stream that keeps its own: journald's cursor, opaque to all others."""

    mark: str

    def to_dict(self) -> dict[str, int | str]:
        """Return plain values for storage."""
        return {"mark": self.mark}


@dataclass(frozen=True, slots=True)
class Count:
    """How many lines a stream without places has delivered since it was opened."""

    count: int

    def to_dict(self) -> dict[str, int | str]:
        """Return plain values for storage."""
        return {"count": self.count}


Place = Cursor | Mark | Count


def place_from(values: Mapping[str, int | str]) -> Place:
    """Return the place that any `to_dict` stored. Raises SourceError for anything else."""
    match dict(values):
        case {"mark": str(mark)}:
            return Mark(mark)
        case {"count": int(count)}:
            return Count(count)
    return Cursor.from_dict(values)


def head_hash(first: bytes) -> str:
    """Return the length and hash of the first bytes of a file, as a cursor keeps them."""
    return f"{len(first)}:{blake2b(first, digest_size=8).hexdigest()}" if first else ""


def head_length(head: str) -> int:
    """Return how many bytes a head covers; 0 for none or junk."""
    length = head.partition(":")[0]
    return int(length) if length.isdecimal() and len(length) <= 3 else 0


def waiting_bytes(fd: int) -> int:
    """Return how many bytes a pipe or socket holds unread; of a datagram socket, the next one's."""
    return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4), sys.byteorder)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole lines without their newlines, in order; there may be none.

    `cursor` is the place behind them, `lag_bytes` what was then left to read. `lost` counts the
    breaks found on the way: places where lines may be missing, nobody knows how many.
    """

    lines: list[bytes]
    cursor: Place
    lag_bytes: int
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Toll:
    """What never reached a decoder, since the source was opened.

    `lost`: by kind, see docs/inputs.md; `refused`: lines and connections turned away, by reason.
    """

    lost: Counter[str]
    refused: Counter[str]

    @classmethod
    def zero(cls) -> Toll:
        """Return one with nothing in it."""
        return cls(Counter(), Counter())


class Source(Protocol):
    """An input of lines. One owner, one thread.

    `problem` says why it is blind; `note` is what else a person should know.
    """

    name: str
    state: State
    problem: str
    note: str
    toll: Toll

    @property
    def cursor(self) -> Place | None:
        """The place reached, worth keeping even before the first chunk; None: nothing open yet."""
        ...

    def poll(self) -> Chunk | None:
        """Return what can be read now without blocking, at most about a MiB; None: nothing."""
        ...

    async def changed(self) -> None:
        """Return when `poll` may have something; it may return early, never too late."""
        ...

    def seek(self, cursor: Place) -> None:
        """Resume behind a chunk delivered earlier. Before the first `poll`."""
        ...

    def close(self) -> None:
        """Give back what is open."""
        ...
