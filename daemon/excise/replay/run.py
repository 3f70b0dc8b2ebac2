"""Recorded lines through the daemon's own engine, in event time."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Protocol, cast

import msgspec

from excise.decode.base import MAX_LINE_BYTES, Decoder, blank
from excise.errors import SourceError
from excise.model.decision import DecisionEvent
from excise.model.step import Effect, Input, Observed
from excise.replay.accounting import Accounting

CHUNK_BYTES = 1 << 20
STDIN = "-"


class ReplayEngine(Protocol):
    """What a replay needs of the engine."""

    def step(self, inputs: Iterable[Input], now: float | None = None) -> list[Effect]:
        """Take inputs, return what changed."""
        ...


Sink = Callable[[bytes], object]
Progress = Callable[[int], object]
DecoderFor = Callable[[Sequence[bytes]], Decoder]


def replay(
    inputs: Iterable[str],
    decoder_for: DecoderFor,
    engine: ReplayEngine,
    accounting: Accounting,
    *,
    sink: Sink | None = None,
    progress: Progress | None = None,
) -> None:
    """Read inputs in order to their ends; write each change of a decision to `sink`.

    Blank lines ahead of all others are not counted. An input is a path, `.gz` or plain, or `-`
    for standard input. `decoder_for` chooses a
    decoder by the first lines of each. `progress` hears how many bytes a chunk had. Raises
    SourceError for an input that cannot be read.
    """
    encode = msgspec.json.Encoder().encode
    for name in inputs:
        decoder: Decoder | None = None
        for lines in _read(name):
            if decoder is None:
                if all(map(blank, lines)):
                    continue
                decoder = decoder_for(lines)
            decoded = decoder.decode(lines)
            accounting.decoded(len(lines), decoded)
            effects = engine.step([Observed(decoded.records)]) if decoded.records else []
            for change in accounting.take(decoded.records, effects):
                if sink:
                    sink(_line(encode, change))
            if progress:
                progress(sum(map(len, lines)) + len(lines))


def read_lines(stream: IO[bytes]) -> Iterator[list[bytes]]:
    """Yield whole lines, about a chunk at a time, without their newlines.

    A line longer than `MAX_LINE_BYTES` may be cut behind that: it is rejected either way.
    """
    rest = b""
    while chunk := stream.read(CHUNK_BYTES):
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()[: MAX_LINE_BYTES + 1]
        if lines:
            yield lines
    if rest:
        yield [rest]


def _read(name: str) -> Iterator[list[bytes]]:
    try:
        with _open(name) as stream:
            yield from read_lines(stream)
    except (OSError, EOFError, zlib.error) as error:  # the last two: a torn or broken .gz
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceError(f"{name} cannot be read: {reason}") from error


def _open(name: str) -> AbstractContextManager[IO[bytes]]:
    if name == STDIN:
        return nullcontext(sys.stdin.buffer)
    if name.endswith(".gz"):
        return cast("AbstractContextManager[IO[bytes]]", gzip.open(name, "rb"))
    return Path(name).open("rb")


def _line(encode: Callable[[object], bytes], change: DecisionEvent) -> bytes:
    return encode(change.to_wire()) + b"\n"
