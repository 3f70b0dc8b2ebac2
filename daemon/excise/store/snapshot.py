"""The engine's learned state on disk: written whole or not at all, tagged with where it stands.

Layout: the magic, the length of the header as 4 bytes big-endian, the header as JSON, the blob.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import msgspec

from excise.errors import StoreError
from excise.hostfile import write_whole

MAGIC = b"excise-snapshot-1\n"
MODE = 0o640


class Header(msgspec.Struct, frozen=True):
    """`cursors` (input name → JSON text) are those of the last lines that the blob has seen."""

    clock: float
    wall: float
    cursors: dict[str, str]
    size_bytes: int
    crc32: int


class Snapshot(msgspec.Struct, frozen=True):
    """What `Engine.snapshot` returned, and where in the inputs it was taken."""

    clock: float
    wall: float
    cursors: dict[str, str]
    blob: bytes


def write_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Replace the snapshot at `path` atomically. Raises StoreError, the old one then stays."""
    header = msgspec.json.encode(
        Header(
            clock=snapshot.clock,
            wall=snapshot.wall,
            cursors=snapshot.cursors,
            size_bytes=len(snapshot.blob),
            crc32=zlib.crc32(snapshot.blob),
        )
    )
    pieces = (MAGIC, len(header).to_bytes(4, "big"), header, snapshot.blob)
    try:
        write_whole(path, pieces, MODE)
    except OSError as error:
        raise StoreError(f"cannot write the snapshot {path}: {error}; check space") from error


def read_snapshot(path: Path) -> Snapshot | None:
    """Return the snapshot at `path`, None where there is none. Raises StoreError if damaged."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"cannot read the snapshot {path}: {error}; check rights") from error
    start = len(MAGIC) + 4
    end = start + int.from_bytes(data[len(MAGIC) : start], "big")
    try:
        header = msgspec.json.decode(data[start:end], type=Header)
    except msgspec.DecodeError as error:
        raise StoreError(f"the snapshot {path} is damaged: {error}") from error
    blob = data[end:]
    sound = data.startswith(MAGIC) and len(blob) == header.size_bytes
    if not sound or zlib.crc32(blob) != header.crc32:
        raise StoreError(f"the snapshot {path} is damaged: its checksum does not match")
    return Snapshot(header.clock, header.wall, header.cursors, blob)
