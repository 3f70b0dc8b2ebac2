"""The record: one request as the gateway logged it (contract 1), decoded and checked."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated

import msgspec

MIN_TS = 946_684_800.0  # 2000-01-01
MAX_TS = 4_102_444_800.0  # 2100-01-01
SIMHASH_DIGITS = 16
MAX_HASH_DIGITS = 128
#: longest name of an account or a client stack; each is kept, and strangers choose some of them
MAX_NAME = 512
#: Bounds hold for what is decoded; they keep absurd numbers out of every sum further on.
Timestamp = Annotated[float, msgspec.Meta(ge=MIN_TS, lt=MAX_TS)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Seconds = Annotated[float, msgspec.Meta(ge=0.0, le=1e8)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
Status = Annotated[int, msgspec.Meta(ge=0, le=999)]
Name = Annotated[str, msgspec.Meta(max_length=MAX_NAME)]
Simhash = Annotated[str, msgspec.Meta(max_length=SIMHASH_DIGITS)]
Chain = Annotated[
    tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_HASH_DIGITS)], ...],
    msgspec.Meta(max_length=8),
]


class Record(msgspec.Struct, frozen=True, gc=False):
    """One request. Addresses are canonical text; `""` and `-1` mean "not known".

    `ts` is epoch seconds at the end of the request; `duration` and `ttfb` are seconds.
    `tcp_rtt` and `tls_handshake` are seconds too: the round trip of the connection as the kernel
    measured it, and from accepting it to the end of its TLS handshake. Only the first request of a
    connection tells the latter.
    `peer` is the socket's peer: `""` where it is the client itself.
    `unbelieved_hops`: how many hops a header tells that nobody trusted vouches for.
    Write fields by name; by place is for decoders, whom it saves half of the cost.
    Names are those of `short_name`. No field ever holds prompt or completion text.
    """

    ts: Timestamp
    client: str
    peer: str = ""
    client_port: Port = -1
    account: Name = ""
    org: str = ""
    method: str = ""
    path: str = ""
    status: Status = -1
    model: str = ""
    request_id: str = ""
    connection: str = ""
    input_tokens: Count = -1
    output_tokens: Count = -1
    reasoning_tokens: Count = -1
    cached_tokens: Count = -1
    bytes_in: Count = -1
    bytes_out: Count = -1
    duration: Seconds = -1.0
    ttfb: Seconds = -1.0
    tls: str = ""
    ja4: Name = ""
    sni: str = ""
    alpn: str = ""
    user_agent: Name = ""
    prompt: Chain = ()
    simhash: Simhash = ""
    max_tokens: Count = -1
    n: Count = -1
    logprobs: Count = -1
    logit_bias: Count = -1
    temperature: Annotated[float, msgspec.Meta(ge=0.0, le=1e6)] = -1.0
    stream: bool | None = None
    unbelieved_hops: Count = -1
    tcp_rtt: Seconds = -1.0
    tls_handshake: Seconds = -1.0


def short_name(text: str) -> str:
    """Return a name as it is kept: one that is too long as its beginning, `~`, and a hash."""
    if len(text) <= MAX_NAME:
        return text
    digest = blake2b(text.encode(errors="replace"), digest_size=16).hexdigest()
    return f"{text[: MAX_NAME - len(digest) - 1]}~{digest}"


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
