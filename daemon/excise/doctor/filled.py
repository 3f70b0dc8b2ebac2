"""Which fields of the record an input fills, and in what share of its requests. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from excise.model.record import Record

PARAMETERS = "parameters"


def _has_parameters(r: Record) -> bool:
    counts = (r.max_tokens, r.n, r.logprobs, r.logit_bias, r.temperature)
    return r.stream is not None or any(value >= 0 for value in counts)


#: what is looked for, and when a record has it, in the order in which it is told
FILLED: Mapping[str, Callable[[Record], bool]] = MappingProxyType(
    {
        "client": lambda r: bool(r.client),
        "account": lambda r: bool(r.account),
        "model": lambda r: bool(r.model),
        "input_tokens": lambda r: r.input_tokens >= 0,
        "output_tokens": lambda r: r.output_tokens >= 0,
        "bytes_out": lambda r: r.bytes_out >= 0,
        "status": lambda r: r.status >= 0,
        "duration": lambda r: r.duration >= 0,
        "tcp_rtt": lambda r: r.tcp_rtt >= 0,
        "tls_handshake": lambda r: r.tls_handshake >= 0,
        "tls": lambda r: bool(r.tls),
        "ja4": lambda r: bool(r.ja4),
        "user_agent": lambda r: bool(r.user_agent),
        "prompt": lambda r: bool(r.prompt),
        "simhash": lambda r: bool(r.simhash),
        PARAMETERS: _has_parameters,
        "request_id": lambda r: bool(r.request_id),
    }
)


def answered(records: Sequence[Record]) -> list[Record]:
    """Return the requests that a model may have answered; all where there are none.

    A refused request has neither account nor tokens, a probe by GET no tokens: that they do not
    tell them says nothing about the log.
    """
    found = [r for r in records if r.method in {"", "POST"} and (r.status < 0 or r.status < 400)]
    return found or list(records)


def shares(records: Sequence[Record]) -> dict[str, float]:
    """Return the share of records that have each field; all 0 for no records."""
    n = max(1, len(records))
    return {name: sum(map(has, records)) / n for name, has in FILLED.items()}
