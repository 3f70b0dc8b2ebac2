"""One request as the tap sees it pass, and the record that comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from excise.gateways.asked import asked
from excise.gateways.client import Origin
from excise.gateways.fields import Fields, encode
from excise.gateways.keyed import Keyed
from excise.gateways.usage import Ends, usage
from excise.model.record import short_name

UNAUTHORIZED = 401
FAILED = 500
MOST_TEXT = 2048
#: response headers by which an application tells what only it knows; clients do not see them
APPLICATION = {
    "x-excise-account": "account",
    "x-excise-org": "org",
    "x-excise-model": "model",
}


@dataclass(slots=True)
class Tapped:
    """What passed so far. `began` and `first` are of a steady clock; 0.0 means not yet."""

    began: float
    origin: Origin
    method: str
    path: str
    credential: str
    gateway_told: Fields
    max_body_bytes: int
    user_agent: str = ""
    bytes_in: int = 0
    whole: bool = False
    first: float = 0.0
    status: int = -1
    readable: bool = True
    application_told: Fields = field(default_factory=dict)
    asked: Fields = field(default_factory=dict)
    answer: Ends = field(default_factory=Ends)
    _body: list[bytes] = field(default_factory=list)

    def take_body(self, chunk: bytes) -> None:
        """Take a piece of the request; a body that is too large is counted only."""
        self.bytes_in += len(chunk)
        if self.bytes_in > self.max_body_bytes:
            self._body.clear()
        else:
            self._body.append(chunk)

    @property
    def held_bytes(self) -> int:
        """How much of the request is held now."""
        return sum(map(len, self._body))

    def body(self) -> Callable[[Keyed | None], None]:
        """Let go of the body, and return what reads it (not here: that takes a while)."""
        pieces, self._body = self._body, []

        def read(keyed: Keyed | None) -> None:
            self.asked = asked(b"".join(pieces), keyed) if pieces else {}

        return read

    def line(self, ts: float, duration: float, keyed: Keyed | None) -> bytes:
        """Return the record as a line. Raises what a defect raises; call it guarded."""
        account = ""
        if keyed is not None and self.status != UNAUTHORIZED:  # anybody can claim a name
            account = keyed.account(self.credential)
        status = self.status if self.status >= 0 else None
        fields: Fields = {
            "ts": round(ts, 6),
            "client": self.origin.client,
            "peer": self.origin.peer,
            "client_port": self.origin.port if self.origin.port > 0 else None,
            "account": account,
            "method": self.method,
            "path": self.path[:MOST_TEXT],
            "status": status,
            "bytes_in": self.bytes_in,
            "bytes_out": self.answer.size,
            "duration": round(duration, 6),
            "ttfb": round(self.first - self.began, 6) if self.first else None,
            "user_agent": short_name(self.user_agent),
        }
        fields |= self.gateway_told | self.asked
        if self.readable:
            fields |= usage(self.answer)
        fields |= self.application_told
        return encode(fields)
