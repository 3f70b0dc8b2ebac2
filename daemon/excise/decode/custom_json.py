"""Format `json`: one JSON object per line, its keys mapped to the record in the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from excise.decode import slots
from excise.decode.base import DecodeContext
from excise.decode.fields import FIELDS, timestamp
from excise.decode.jsonformat import JsonDecoder
from excise.decode.readers import first, joined, scaled, tls_version
from excise.decode.shape import Path, Row, Shape
from excise.decode.slots import Read
from excise.decode.times import Times

NAME = "json"
#: names in the configuration for what is no field of the record, or is found out by the walk
SLOTS: Mapping[str, str] = MappingProxyType(
    {
        "client": slots.REMOTE,
        "peer": slots.SOCKET,
        "client_port": slots.REMOTE_PORT,
        "x_forwarded_for": slots.FORWARDED_FOR,
        "forwarded": slots.FORWARDED,
        "proxy_protocol": slots.PROXY_PROTOCOL,
        "credential": slots.CLAIM,
        "request": slots.REQUEST,
        "started": slots.START,
    }
)
#: every name that `fields` may have
NAMES = (*FIELDS, *(name for name in SLOTS if name not in FIELDS))
#: seconds per unit, of durations and of times since the epoch
UNITS: Mapping[str, float] = MappingProxyType({"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9})
#: ways to write a moment
TIMES = ("auto", "rfc3339", "common", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns")
MOMENTS = frozenset({"ts", "started"})
DURATIONS = frozenset({"duration", "ttfb", "tcp_rtt", "tls_handshake"})


@dataclass(frozen=True, slots=True)
class FieldPath:
    """Where a field is found; the first path that says something wins.

    `unit` of a duration, `time` of a moment: one of `UNITS`, of `TIMES`.
    """

    name: str
    paths: tuple[Path, ...]
    unit: str = "s"
    time: str = "auto"


def make(fields: Sequence[FieldPath], context: DecodeContext) -> JsonDecoder:
    """Return a decoder of a configured mapping."""
    times = Times(context.zone)
    rows = tuple(
        Row(path, SLOTS.get(field.name, field.name), _reader(field, times))
        for field in fields
        for path in field.paths
    )
    return JsonDecoder(NAME, Shape(rows, known=frozenset()), context)


def _reader(field: FieldPath, times: Times) -> Read | None:
    """Return how a field is read; lists, as headers are logged by some, give their first entry."""
    if field.name in MOMENTS:
        return _moment(field.time, times)
    if field.name in DURATIONS:
        return None if field.unit == "s" else scaled(UNITS[field.unit])
    if field.name == "tls":
        return tls_version
    if field.name in {"x_forwarded_for", "forwarded"}:
        return joined
    return None if field.name in {"prompt", "stream"} else first


def _moment(kind: str, times: Times) -> Read:
    if kind == "common":
        return times.common
    if kind.startswith("epoch_"):
        to_s = scaled(UNITS[kind.removeprefix("epoch_")])
        return lambda value: timestamp(to_s(value))
    return times.iso
