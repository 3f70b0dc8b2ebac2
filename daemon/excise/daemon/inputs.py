"""One input: read what has arrived, decode it, feed the core; say how it stands.

An input that cannot be read is blind: an alarm, a state, and another try; never the end of the
daemon.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from excise.daemon.core import Core
from excise.decode.base import Decoder
from excise.decode.registry import Format
from excise.errors import SourceError
from excise.model.record import Decoded, Reject
from excise.model.view import InputView
from excise.sources.base import Chunk, Cursor, Source, State

#: the longest sleep on a silent log: a missed wake-up costs no more
LOOK_S = 1.0
#: distinct reasons counted by name; there are few, and none may grow with the input
MOST_REASONS = 64
OTHER = "other"


@dataclass(slots=True)
class Rejects:
    """Rejected lines by reason, bounded."""

    by_reason: Counter[str] = field(default_factory=Counter)

    def count(self, rejects: Iterable[Reject]) -> None:
        """Count each."""
        for reject in rejects:
            known = reject.reason in self.by_reason or len(self.by_reason) < MOST_REASONS
            self.by_reason[reject.reason if known else OTHER] += 1


@dataclass(slots=True)
class InputLoop:
    """Follows one source. `caught_up` is set once nothing is left to read, or nothing can be."""

    source: Source
    decoder: Decoder
    format: str | Format
    core: Core
    position: dict[str, int | str] = field(default_factory=dict)
    lines: int = 0
    records: int = 0
    lag_bytes: int = 0
    breaks: int = 0
    unknown_fields: int = 0
    last_line_ts: float | None = None
    rejects: Rejects = field(default_factory=Rejects)
    caught_up: asyncio.Event = field(default_factory=asyncio.Event)
    _problem: str = ""

    @property
    def name(self) -> str:
        """The input's name, by which its cursor is stored."""
        return self.source.name

    async def run(self, beat: Callable[[], None]) -> None:
        """Follow the source until it ends."""
        while True:
            beat()
            chunk = self.source.poll()
            self._watch()
            if chunk is not None:
                await self.take(chunk)
                continue
            self.caught_up.set()
            if self.source.state is State.ENDED:
                return
            await self._changed()

    async def take(self, chunk: Chunk) -> None:
        """Decode a chunk and feed it to the core."""
        decoded = self.decoder.decode(chunk.lines)
        self._count(chunk, decoded)
        await self.core.feed(self.name, decoded.records, encode_cursor(chunk.cursor))

    def view(self) -> InputView:
        """Return how the input stands."""
        return InputView(
            name=self.name,
            format=self.decoder.name,
            state=self.source.state.value,
            position=self.position,
            lag_bytes=self.lag_bytes,
            lines=self.lines,
            records=self.records,
            rejects=dict(self.rejects.by_reason),
            unknown_fields=self.unknown_fields,
            last_line_ts=self.last_line_ts,
            problem=self.source.problem,
        )

    def _count(self, chunk: Chunk, decoded: Decoded) -> None:
        self.lines += len(chunk.lines)
        self.records += len(decoded.records)
        self.unknown_fields += decoded.unknown_fields
        self.rejects.count(decoded.rejects)
        self.lag_bytes = chunk.lag_bytes
        self.position = chunk.cursor.to_dict()
        if decoded.records:
            self.last_line_ts = decoded.records[-1].ts
        if chunk.lost:
            self.breaks += chunk.lost
            text = f"{self.name}: lines may be missing before {self.position}; was the log rotated?"
            self.core.alarm("input-broken", text)

    def _watch(self) -> None:
        """Raise an alarm when the input goes blind, and once more when it sees again."""
        problem = self.source.problem if self.source.state is State.BLIND else ""
        if problem and not self._problem:
            self.core.alarm("input-blind", f"{self.name}: {problem}")
        elif self._problem and not problem:
            self.core.alarm("input-recovered", f"{self.name} is read again")
        self._problem = problem

    async def _changed(self) -> None:
        try:
            async with asyncio.timeout(LOOK_S):
                await self.source.changed()
        except TimeoutError:
            # Looked at all the same: a wake-up that was missed costs a second, not a night.
            return


def encode_cursor(cursor: Cursor) -> str:
    """Return a cursor as it is stored."""
    return msgspec.json.encode(cursor.to_dict()).decode()


def decode_cursor(text: str) -> Cursor:
    """Return a stored cursor. Raises SourceError for one that is unusable."""
    try:
        return Cursor.from_dict(msgspec.json.decode(text, type=dict[str, int | str]))
    except msgspec.DecodeError as error:
        raise SourceError(f"the stored cursor {text!r} is unusable: {error}") from error
