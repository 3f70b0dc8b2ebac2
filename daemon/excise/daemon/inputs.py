"""One input: read what has arrived, decode it, feed the core; say how it stands.

An input that cannot be read is blind: an alarm, a state, and another try; never the end of the
daemon.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf

import msgspec

from excise.daemon.convoy import SLACK_S, Convoy, pieces
from excise.daemon.core import Core
from excise.daemon.silence import SILENT, Hearing
from excise.decode.base import Decoder
from excise.decode.registry import Format
from excise.errors import SourceError
from excise.model.record import Decoded, Reject
from excise.model.view import InputView
from excise.sources.base import Chunk, Place, Source, State, place_from

#: the longest sleep on a silent input; sources look for what they may have missed more often
LOOK_S = 10.0
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
class Score:
    """What came through one input since the daemon started."""

    lines: int = 0
    records: int = 0
    unknown_fields: int = 0
    last_line_ts: float | None = None
    last_heard_ts: float | None = None
    rejects: Rejects = field(default_factory=Rejects)

    def count(self, lines: int, decoded: Decoded, wall: float) -> None:
        """Count lines that came at the time `wall`, and what became of them."""
        self.lines += lines
        self.records += len(decoded.records)
        self.unknown_fields += decoded.unknown_fields
        self.rejects.count(decoded.rejects)
        if decoded.records:
            self.last_line_ts = decoded.records[-1].ts
        if lines:
            self.last_heard_ts = wall


@dataclass(slots=True)
class InputLoop:
    """Follows one source. `caught_up` is set once nothing is left to read, or nothing can be."""

    source: Source
    decoder: Decoder
    format: str | Format
    core: Core
    hearing: Hearing = field(default_factory=Hearing)
    convoy: Convoy = field(default_factory=Convoy)
    position: dict[str, int | str] = field(default_factory=dict)
    lag_bytes: int = 0
    score: Score = field(default_factory=Score)
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
                await self.take(chunk, beat)
                continue
            await self._keep_first_place()
            if self.source.state is not State.READING:
                self.caught_up.set()
                self.convoy.leave(self.name)
            if self.source.state is State.ENDED:
                return
            await self._changed()

    async def take(self, chunk: Chunk, beat: Callable[[], None] = lambda: None) -> None:
        """Decode a chunk and feed it to the core, in turn with inputs that have a backlog."""
        span_s = SLACK_S if self.convoy.together(self.name) else inf
        for piece, decoded in pieces(chunk, self.decoder, span_s):
            if decoded.records:
                await self.convoy.turn(self.name, decoded.records[0].ts, beat)
            self._count(piece, decoded)
            await self.core.feed(self.name, decoded.records, encode_cursor(piece.cursor))

    def view(self) -> InputView:
        """Return how the input stands."""
        score, source, silent = self.score, self.source, self.hearing.silent
        return InputView(
            name=self.name,
            format=self.decoder.name,
            state=SILENT if silent else source.state.value,
            position=self.position,
            lag_bytes=self.lag_bytes,
            lag_s=self._lag_s(),
            lines=score.lines,
            records=score.records,
            rejects=dict(score.rejects.by_reason + source.toll.refused),
            losses=dict(+source.toll.lost),
            unknown_fields=score.unknown_fields,
            last_line_ts=score.last_line_ts,
            last_heard_ts=score.last_heard_ts,
            problem=source.problem or silent,
            note=source.note,
        )

    def _lag_s(self) -> float:
        """Return how old the newest line read is, while there are newer ones to read."""
        if not self.lag_bytes or self.score.last_line_ts is None:
            return 0.0
        return max(0.0, self.core.time.clock.wall() - self.score.last_line_ts)

    def _count(self, chunk: Chunk, decoded: Decoded) -> None:
        clock = self.core.time.clock
        self.score.count(len(chunk.lines), decoded, clock.wall())
        self.hearing.hear(clock.monotonic(), decoded)
        self.lag_bytes = chunk.lag_bytes
        self.position = chunk.cursor.to_dict()
        if chunk.lost:
            text = f"{self.name}: lines may be missing before {self.position}; was the log rotated?"
            self.core.alarm("input-broken", text)

    async def _keep_first_place(self) -> None:
        """Store where reading begins, so that a restart before the first line begins there too."""
        cursor = self.source.cursor
        if cursor is not None and self.name not in self.core.processed:
            self.position = cursor.to_dict()
            await self.core.feed(self.name, [], encode_cursor(cursor))

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
            # Looked at all the same: a wake-up that was missed costs seconds, not a night.
            return


def encode_cursor(cursor: Place) -> str:
    """Return a cursor as it is stored."""
    return msgspec.json.encode(cursor.to_dict()).decode()


def decode_cursor(text: str) -> Place:
    """Return a stored cursor. Raises SourceError for one that is unusable."""
    try:
        return place_from(msgspec.json.decode(text, type=dict[str, int | str]))
    except msgspec.DecodeError as error:
        raise SourceError(f"the stored cursor {text!r} is unusable: {error}") from error
