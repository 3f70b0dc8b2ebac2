"""Inputs that catch up together: nobody runs ahead of the others by more than a minute.

After a stop of hours every log has its own backlog. Read one after the other, or a megabyte of
each in turn, their times would jump back and forth, and the engine's clock with them. So while
there are backlogs, lines go to the engine in about the order in which they happened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import inf

from excise.decode.base import Decoder
from excise.model.record import Decoded
from excise.sources.base import Chunk, Cursor

#: how far ahead of the hindmost an input may be; far below what the engine takes as late
SLACK_S = 60.0
#: who waits for others says so often that he is alive
BEAT_S = 1.0


@dataclass(slots=True)
class Convoy:
    """Which inputs have a backlog, and how far each has come. Ends for good with the last."""

    places: dict[str, float] = field(default_factory=dict)
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    def join(self, name: str) -> None:
        """Take in an input that may have a backlog."""
        self.places[name] = -inf

    def leave(self, name: str) -> None:
        """Let an input go that has caught up, or cannot be read."""
        if self.places.pop(name, None) is not None:
            self._stir()

    def together(self, name: str) -> bool:
        """Whether anybody but `name` has a backlog."""
        return len(self.places) > (name in self.places)

    async def turn(self, name: str, ts: float, beat: Callable[[], None]) -> None:
        """Wait until nobody is far behind lines of the time `ts`; `beat` while waiting."""
        if name in self.places:
            self.places[name] = ts
            self._stir()
        while any(at < ts - SLACK_S for other, at in self.places.items() if other != name):
            beat()
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await self._moved.wait()

    def _stir(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()


def pieces(chunk: Chunk, decoder: Decoder, span_s: float) -> Iterator[tuple[Chunk, Decoded]]:
    """Yield a chunk in pieces whose records span little time, each with its own place.

    What has no places between its lines stays whole.
    """
    decoded = decoder.decode(chunk.lines)
    stamps = [record.ts for record in decoded.records]
    short = len(chunk.lines) < 2 or not stamps or max(stamps) - min(stamps) <= span_s
    if short or not isinstance(chunk.cursor, Cursor):
        yield chunk, decoded
        return
    half = len(chunk.lines) // 2
    first, second = chunk.lines[:half], chunk.lines[half:]
    behind = sum(map(len, second)) + len(second)
    cursor = replace(chunk.cursor, offset=chunk.cursor.offset - behind)
    yield from pieces(Chunk(first, cursor, chunk.lag_bytes + behind, chunk.lost), decoder, span_s)
    yield from pieces(Chunk(second, chunk.cursor, chunk.lag_bytes), decoder, span_s)
