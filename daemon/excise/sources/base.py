"""The seam between the outside and the decoders: chunks of whole lines with a place to resume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Protocol

from excise.errors import SourceError

#: most bytes of a chunk; more than the longest line
CHUNK_BYTES = 1 << 20
HEAD_BYTES = 256


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
    inode numbers come back and files are emptied in place.
    """

    dev: int
    ino: int
    offset: int
    head: str = ""

    def to_dict(self) -> dict[str, int | str]:
        """Return plain values for storage."""
        return {"dev": self.dev, "ino": self.ino, "offset": self.offset, "head": self.head}

    @classmethod
    def from_dict(cls, values: Mapping[str, int | str]) -> Cursor:
        """Return what `to_dict` stored. Raises SourceError for anything else."""
        try:
            dev, ino, offset, head = (values[key] for key in ("dev", "ino", "offset", "head"))
        except KeyError as error:
            raise SourceError(f"the stored cursor lacks {error}; delete it to start anew") from None
        if isinstance(head, str) and all(isinstance(v, int) for v in (dev, ino, offset)):
            return cls(int(dev), int(ino), int(offset), head)
        raise SourceError(f"the stored cursor {dict(values)} is unusable; delete it to start anew")


def head_hash(first: bytes) -> str:
    """Return the length and hash of the first bytes of a file, as a cursor keeps them."""
    return f"{len(first)}:{blake2b(first, digest_size=8).hexdigest()}" if first else ""


def head_length(head: str) -> int:
    """Return how many bytes a head covers; 0 for none or junk."""
    length = head.partition(":")[0]
    return int(length) if length.isdecimal() and len(length) <= 3 else 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole lines without their newlines, in order; there may be none.

    `cursor` is the place behind them, `lag_bytes` what was then left to read. `lost` counts the
    breaks found on the way: places where lines may be missing, nobody knows how many.
    """

    lines: list[bytes]
    cursor: Cursor
    lag_bytes: int
    lost: int = 0


class Source(Protocol):
    """An input of lines. One owner, one thread."""

    name: str
    state: State
    problem: str

    @property
    def cursor(self) -> Cursor | None:
        """The place reached, worth keeping even before the first chunk; None: nothing open yet."""
        ...

    def poll(self) -> Chunk | None:
        """Return what can be read now without blocking, at most about a MiB; None: nothing."""
        ...

    async def changed(self) -> None:
        """Return when `poll` may have something; it may return early, never too late."""
        ...

    def seek(self, cursor: Cursor) -> None:
        """Resume behind a chunk delivered earlier. Before the first `poll`."""
        ...

    def close(self) -> None:
        """Give back what is open."""
        ...
