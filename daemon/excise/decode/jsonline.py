"""A JSON object from one line, with everything refused that an injection could leave behind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

import msgspec

from excise.decode.base import CONTROL, LineRejectedError

_NESTING = frozenset({dict, list})
_decode = msgspec.json.Decoder().decode
_KEY_END = re.compile(rb'"[ \t\r\n]*:')
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


def parse_object(line: bytes) -> dict[str, object]:
    """Return the object of a line. Raises LineRejectedError.

    Bytes that are no UTF-8, and halves of surrogate pairs, become replacement characters: a
    client chooses what its headers hold, and must not get its line rejected by that.
    """
    try:
        value = _parse(line)
    except ValueError:
        value = _parse_mended(line)
    if not isinstance(value, dict):
        raise LineRejectedError("not-an-object")
    if _may_repeat_keys(line, value):
        _refuse_repeated_keys(line)
    return value


def _parse(line: bytes) -> object:
    try:
        return _decode(line)
    except RecursionError:
        raise LineRejectedError("depth") from None


def _parse_mended(line: bytes) -> object:
    mended = _mended(line)
    try:
        return _parse(mended)
    except ValueError:
        pass
    try:  # knows NaN, Infinity and 1e999, which then fail the bounds of their field only
        return json.loads(mended)
    except RecursionError:
        raise LineRejectedError("depth") from None
    except ValueError:
        raise LineRejectedError(_why_malformed(line)) from None


def _mended(line: bytes) -> bytes:
    return _SURROGATE.sub(rb"\\ufffd", line.decode(errors="replace").encode())


def _why_malformed(line: bytes) -> str:
    if line.translate(None, CONTROL) != line:
        return "binary"
    try:
        line.decode()
    except UnicodeDecodeError:
        return "encoding"
    return "syntax"


def _may_repeat_keys(line: bytes, value: dict[str, object]) -> bool:
    """Cheap and safe: each key ends in `":`, unless blanks stand between quote and colon."""
    ends = line.count(b'":')
    if b'" ' in line or b'"\t' in line or b'"\r' in line:
        ends = len(_KEY_END.findall(line))
    return ends != len(value) and ends != _keys(value)


def _keys(value: object) -> int:
    """Return how many keys there are in a value, however deep."""
    found, nested = 0, [value]
    while nested:
        one = nested.pop()
        inner: Iterable[object] = ()
        if isinstance(one, dict):
            found += len(one)
            inner = one.values()
        elif isinstance(one, list):
            inner = one
        nested += [part for part in inner if type(part) in _NESTING]
    return found


def _refuse_repeated_keys(line: bytes) -> None:
    """Raise LineRejectedError if any object of the line names a key twice."""
    try:
        json.loads(_mended(line), object_pairs_hook=_unique)
    except (ValueError, RecursionError):  # a number that only msgspec reads, or the reverse
        raise LineRejectedError("syntax") from None


def _unique(pairs: list[tuple[str, object]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise LineRejectedError("duplicate-key")
