"""Records that others push to the API, as an input among the others."""

from __future__ import annotations

from dataclasses import dataclass, field

from excise.config.values import HTTP
from excise.daemon.core import Core
from excise.daemon.inputs import Rejects, Score
from excise.daemon.silence import SILENT, Hearing
from excise.decode.base import Decoder
from excise.model.view import InputView, PushView
from excise.sources.base import State


@dataclass(slots=True)
class Pushed:
    """Takes pushed lines; `configured`: it is named among the inputs, and shown from the start."""

    core: Core
    decoder: Decoder
    format: str
    configured: bool
    hearing: Hearing
    score: Score = field(default_factory=Score)

    async def take(self, lines: bytes) -> PushView:
        """Take lines as if they had been logged; return when the engine has them."""
        whole = lines.splitlines()
        decoded = self.decoder.decode(whole)
        clock = self.core.time.clock
        self.score.count(len(whole), decoded, clock.wall())
        self.hearing.hear(clock.monotonic(), decoded)
        await self.core.push(decoded.records)
        rejects = Rejects()
        rejects.count(decoded.rejects)
        return PushView(accepted=len(decoded.records), rejects=dict(rejects.by_reason))

    def views(self) -> list[InputView]:
        """Return how it stands, once there is something to tell."""
        if not (self.configured or self.score.lines):
            return []
        score, silent = self.score, self.hearing.silent
        return [
            InputView(
                name=HTTP,
                format=self.decoder.name,
                state=SILENT if silent else State.WAITING.value,
                position={"count": score.lines},
                lag_bytes=0,
                lines=score.lines,
                records=score.records,
                rejects=dict(score.rejects.by_reason),
                unknown_fields=score.unknown_fields,
                last_line_ts=score.last_line_ts,
                last_heard_ts=score.last_heard_ts,
                problem=silent,
            )
        ]
