"""Lines out of files, and records out of lines, a chunk at a time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import IO

from excise.decode.base import MAX_LINE_BYTES, Decoder, blank
from excise.errors import SourceError
from excise.model.record import Decoded, Record
from excise.replay.archive import STDIN, Chain
from excise.unpack import UNPACK_ERRORS, is_packed, unpacked

CHUNK_BYTES = 1 << 20

DecoderFor = Callable[[Sequence[bytes]], Decoder]
#: told of every chunk: its lines, and what became of them
OnDecoded = Callable[[Sequence[bytes], Decoded], None]


@dataclass(frozen=True, slots=True)
class Reader:
    """How a chain becomes records. `decoder_for` chooses by the first lines of each file."""

    decoder_for: DecoderFor
    on_decoded: OnDecoded
    chunk_bytes: int = CHUNK_BYTES

    def records(self, chain: Chain) -> Iterator[list[Record]]:
        """Yield the records of a chain, in its order. Raises SourceError."""
        for file in chain.files:
            decoder: Decoder | None = None
            for lines in read_file(file, self.chunk_bytes):
                if decoder is None:
                    if all(map(blank, lines)):
                        continue
                    decoder = self.decoder_for(lines)
                decoded = decoder.decode(lines)
                self.on_decoded(lines, decoded)
                yield list(decoded.records)


def read_file(name: str, chunk_bytes: int = CHUNK_BYTES) -> Iterator[list[bytes]]:
    """Yield the lines of a file, packed or not, or of standard input. Raises SourceError."""
    try:
        with _opened(name) as stream:
            yield from read_lines(stream, chunk_bytes)
    except (OSError, *UNPACK_ERRORS) as error:  # the latter: a torn or broken archive
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceError(f"{name} cannot be read: {reason}") from error


def read_lines(
    stream: IO[bytes] | BufferedIOBase, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[list[bytes]]:
    """Yield whole lines, about a chunk at a time, without their newlines.

    A line longer than `MAX_LINE_BYTES` may be cut behind that: it is rejected either way.
    """
    rest = b""
    while chunk := stream.read(chunk_bytes):
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()[: MAX_LINE_BYTES + 1]
        if lines:
            yield lines
    if rest:
        yield [rest]


@contextmanager
def _opened(name: str) -> Iterator[IO[bytes] | BufferedIOBase]:
    if name == STDIN:
        yield sys.stdin.buffer
        return
    with Path(name).open("rb") as raw:
        if not is_packed(name):
            yield raw
            return
        with unpacked(raw, name) as stream:
            yield stream
