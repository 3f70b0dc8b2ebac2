"""The record: one request as the gateway logged it (contract 1), decoded and checked."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec


class Record(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One request. Addresses are canonical text; `""` and `-1` mean "not known".

    `ts` is epoch seconds at the end of the request; `duration` and `ttfb` are seconds.
    `peer` is the socket's peer: `""` where it is the client itself.
    No field ever holds prompt or completion text.
    """

    ts: float
    client: str
    peer: str = ""
    client_port: int = -1
    account: str = ""
    org: str = ""
    method: str = ""
    path: str = ""
    status: int = -1
    model: str = ""
    request_id: str = ""
    connection: str = ""
    input_tokens: int = -1
    output_tokens: int = -1
    reasoning_tokens: int = -1
    cached_tokens: int = -1
    bytes_in: int = -1
    bytes_out: int = -1
    duration: float = -1.0
    ttfb: float = -1.0
    tls: str = ""
    ja4: str = ""
    sni: str = ""
    alpn: str = ""
    user_agent: str = ""
    prompt: tuple[str, ...] = ()
    simhash: str = ""
    max_tokens: int = -1
    n: int = -1
    logprobs: int = -1
    logit_bias: int = -1
    temperature: float = -1.0
    stream: bool | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """A line that could not be decoded: a short stable reason, and the first bytes for a person."""

    reason: str
    sample: bytes


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a decoder makes of a chunk of whole lines, in the order of the lines.

    `unknown_fields` counts fields that were ignored. `blank` lines are neither.
    """

    records: list[Record]
    rejects: list[Reject]
    unknown_fields: int = 0
