"""Loose JSON values to record fields: absent in many spellings, numbers as text, bounds kept."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from string import hexdigits
from types import MappingProxyType

import msgspec
from msgspec import inspect

from excise.decode.address import Addresses
from excise.decode.base import LineRejectedError
from excise.decode.request import without_query
from excise.model.record import (
    MAX_HASH_DIGITS,
    MAX_TS,
    MIN_TS,
    SIMHASH_DIGITS,
    Record,
    short_name,
)

#: what a client asks for is its own word: if it makes no sense it is not known, since
#: rejecting the line would let a client hide a request by asking for nonsense
PARAMETERS = frozenset({"max_tokens", "n", "logprobs", "logit_bias", "temperature", "stream"})
CHAIN_ENDS = 4
MAX_INTEGER = 2**63 - 1
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}(?:\.0*)?")
NUMBER = re.compile(r"[+-]?(?:[0-9]{1,19}(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_SIMHASH = re.compile(r"[0-9A-Fa-f]{1,16}")
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_FLAGS: Mapping[object, bool] = MappingProxyType(
    {"true": True, "false": False, "1": True, "0": False}
)

#: from a loose value to a field's value; None where it is not known
Convert = Callable[[object], object]


def known(value: object) -> bool:
    """Whether a value says anything: null, `""` and `"-"` mean "not known"."""
    return value not in ("", "-", None)


def timestamp(value: object) -> float | None:
    """Return epoch seconds of a number, or of an RFC 3339 date and time with its zone.

    Raises LineRejectedError.
    """
    if not known(value):
        return None
    if isinstance(value, str) and _RFC3339.fullmatch(value):
        try:
            seconds = datetime.fromisoformat(value.upper()).timestamp()
        except ValueError:
            raise LineRejectedError("range:ts") from None
    else:
        seconds = _to_float("ts", value)
    return within_times(seconds)


def within_times(seconds: float) -> float:
    """Return epoch seconds that are of this century. Raises LineRejectedError."""
    if MIN_TS <= seconds < MAX_TS:
        return seconds
    raise LineRejectedError("range:ts")


def _to_float(name: str, value: object) -> float:
    if isinstance(value, str) and NUMBER.fullmatch(value):
        return float(value)
    if type(value) is float:
        return value
    if type(value) is int:
        return float(value) if value.bit_length() <= 64 else math.inf
    raise LineRejectedError(f"type:{name}")


def _to_int(name: str, value: object) -> int:
    if type(value) is int:
        return value
    if isinstance(value, str) and len(value) <= 18 and value.isascii() and value.isdecimal():
        return int(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value.partition(".")[0])
    if isinstance(value, float):
        if not math.isfinite(value):
            raise LineRejectedError(f"range:{name}")
        if value.is_integer():
            return int(value)
    raise LineRejectedError(f"type:{name}")


def _number(name: str, low: float, high: float) -> Convert:
    def convert(value: object) -> float | None:
        if type(value) is not float:
            if not known(value):
                return None
            value = _to_float(name, value)
        if low <= value <= high:
            return value
        raise LineRejectedError(f"range:{name}")

    return convert


def _integer(name: str, low: int, high: int) -> Convert:
    def convert(value: object) -> int | None:
        if type(value) is not int:
            if not known(value):
                return None
            value = _to_int(name, value)
        if low <= value <= high:
            return value
        raise LineRejectedError(f"range:{name}")

    return convert


def _text(name: str) -> Convert:
    def convert(value: object) -> str | None:
        if type(value) is str:
            return value if value not in {"", "-"} else None
        if value is None:
            return None
        if type(value) is int:
            return str(value)
        raise LineRejectedError(f"type:{name}")

    return convert


def _name(name: str) -> Convert:
    read = _text(name)

    def convert(value: object) -> str | None:
        text = read(value)
        return short_name(text) if isinstance(text, str) else None

    return convert


def _path(value: object) -> object:
    return _text("path")(without_query(value))


def _flag(value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    if not known(value):
        return None
    if isinstance(value, str) and value in _FLAGS:
        return _FLAGS[value]
    raise LineRejectedError("type:stream")


def _chain(value: object) -> tuple[str, ...] | None:
    if not known(value):
        return None
    if not isinstance(value, list):
        raise LineRejectedError("type:prompt")
    entries = [entry for entry in value if known(entry)]
    try:
        foreign = "".join(entries).strip(hexdigits)
    except TypeError:
        raise LineRejectedError("type:prompt") from None
    if foreign or max(map(len, entries), default=0) > MAX_HASH_DIGITS:
        raise LineRejectedError("type:prompt")
    if len(entries) > 2 * CHAIN_ENDS:
        entries = entries[:CHAIN_ENDS] + entries[-CHAIN_ENDS:]
    return tuple(entries)


def _simhash(value: object) -> str | None:
    if not known(value):
        return None
    if isinstance(value, str) and _SIMHASH.fullmatch(value):
        return value.zfill(SIMHASH_DIGITS)
    raise LineRejectedError("type:simhash")


def _convert_for(field: inspect.Field) -> Convert:
    kind = field.type
    if isinstance(kind, inspect.IntType):
        return _integer(field.name, kind.ge or 0, kind.le or MAX_INTEGER)
    if isinstance(kind, inspect.FloatType):
        return _number(field.name, kind.ge or 0.0, kind.le or math.inf)
    return _text(field.name)


def _table() -> Mapping[str, Convert]:
    info = inspect.type_info(Record)
    assert isinstance(info, inspect.StructType)  # noqa: S101 - narrows the type of a constant
    table = {field.name: _convert_for(field) for field in info.fields}
    own = {"ts": timestamp, "path": _path, "stream": _flag, "prompt": _chain, "simhash": _simhash}
    names = {name: _name(name) for name in NAMES}
    return MappingProxyType(table | own | names)


def _bounds() -> Mapping[str, tuple[type, float, float]]:
    info = inspect.type_info(Record)
    assert isinstance(info, inspect.StructType)  # noqa: S101 - narrows the type of a constant
    bounds: dict[str, tuple[type, float, float]] = {}
    for field in info.fields:
        if isinstance(field.type, inspect.IntType):
            bounds[field.name] = int, field.type.ge or 0, field.type.le or MAX_INTEGER
        elif isinstance(field.type, inspect.FloatType):
            bounds[field.name] = float, field.type.ge or 0.0, field.type.le or MAX_TS
    return MappingProxyType(bounds)


#: type, least and most of the fields that are numbers
BOUNDS: Mapping[str, tuple[type, float, float]] = _bounds()
#: fields that are text as it is, and those of which a long one is kept short
TEXTS = frozenset(f.name for f in msgspec.structs.fields(Record) if f.type is str)
NAMES = frozenset({"account", "ja4", "user_agent"})
#: how each field of the record is read; the converters raise LineRejectedError with `type:` or
#: `range:` and the field
FIELDS: Mapping[str, Convert] = _table()


def build(raw: Mapping[str, object], addresses: Addresses) -> tuple[Record, int]:
    """Return the record of loose values by field name, and how many of them were ignored.

    Raises LineRejectedError with `missing:`, `type:`, `range:` or `address:` and the field.
    """
    values: dict[str, object] = {}
    ignored = 0
    for name, value in raw.items():
        if name not in FIELDS:
            ignored += 1
        elif value not in (None, "", "-"):
            try:
                found = FIELDS[name](value)
            except LineRejectedError:
                if name not in PARAMETERS:
                    raise
                ignored += 1
                continue
            if found is not None:
                values[name] = found
    for name in ("ts", "client"):
        if name not in values:
            raise LineRejectedError(f"missing:{name}")
    _settle_addresses(values, addresses)
    return msgspec.convert(values, Record), ignored


def _settle_addresses(values: dict[str, object], addresses: Addresses) -> None:
    for name in ("client", "peer"):
        text = values.get(name)
        if isinstance(text, str):
            address = addresses.canonical(text)
            if not address:
                raise LineRejectedError(f"address:{name}")
            values[name] = address
    if values.get("peer") == values["client"]:
        del values["peer"]
