"""Recorded lines through the daemon's own engine, in event time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec

from excise.model.decision import DecisionEvent
from excise.model.record import Decoded
from excise.model.step import Effect, Input, Observed
from excise.replay.accounting import Accounting
from excise.replay.archive import chains
from excise.replay.merge import in_time_order
from excise.replay.reading import DecoderFor, Reader


class ReplayEngine(Protocol):
    """What a replay needs of the engine."""

    def step(self, inputs: Iterable[Input], now: float | None = None) -> list[Effect]:
        """Take inputs, return what changed."""
        ...


Sink = Callable[[bytes], object]
Progress = Callable[[int], object]


def replay(
    inputs: Iterable[str],
    decoder_for: DecoderFor,
    engine: ReplayEngine,
    accounting: Accounting,
    *,
    sink: Sink | None = None,
    progress: Progress | None = None,
) -> None:
    """Read inputs to their ends, in the order of time; write each change of a decision to `sink`.

    Blank lines ahead of all others are not counted. An input is a path, plain or packed, a
    directory of such, or `-` for standard input. `decoder_for` chooses a decoder by the first
    lines of each file. `progress` hears how many bytes a chunk had. Raises SourceError for an
    input that cannot be read.
    """
    encode = msgspec.json.Encoder().encode

    def decoded(lines: Sequence[bytes], result: Decoded) -> None:
        accounting.decoded(len(lines), result)
        if progress:
            progress(sum(map(len, lines)) + len(lines))

    for records in in_time_order(chains(inputs), Reader(decoder_for, decoded)):
        effects = engine.step([Observed(records)]) if records else []
        for change in accounting.take(records, effects):
            if sink:
                sink(_line(encode, change))


def _line(encode: Callable[[object], bytes], change: DecisionEvent) -> bytes:
    return encode(change.to_wire()) + b"\n"
