"""A rule test's input → records. Pure; event time starts at `EPOCH_S`."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

import msgspec

from excise.errors import InvalidError
from excise.model.document import Node, unknown
from excise.model.record import Record
from excise.rules.schema import Burst, RuleTest

#: midnight UTC of 2026-01-05, a Monday: where every test begins
EPOCH_S = 1_767_571_200.0
DEFAULTS: dict[str, object] = {"path": "/v1/chat/completions", "status": 200, "tls": "TLSv1.3"}
RECORD_FIELDS = tuple(name for name in Record.__struct_fields__ if name != "ts")
MAX_RECORDS = 500_000
_BRACES = re.compile(r"\{([^{}]*)\}")
_INDEX = re.compile(r"i(?:%([1-9][0-9]{0,8}))?")


def expand(test: RuleTest) -> list[Record]:
    """Return the records of all bursts in order of time.

    Raises InvalidError for a text that, with its number filled in, no longer fits its field.
    """
    return list(heapq.merge(*map(_burst, test.input), key=lambda record: record.ts))


def check_template(node: Node) -> list[InvalidError]:
    """Return what is wrong with a record template, tried with the number 0."""
    template = node.value if isinstance(node.value, dict) else {}
    problems = [
        unknown("record field", node.child(name, None).key_mark, name, RECORD_FIELDS)
        for name in template
        if name not in RECORD_FIELDS
    ]
    if "client" not in template:
        problems.append(node.error("needs the field client, an address"))
    if problems:
        return problems
    for name, value in template.items():
        try:
            _convert({"client": "192.0.2.1", name: _fill(value, 0)}, 0.0)
        except InvalidError as error:
            here = node.child(name, value)
            problems.append(InvalidError(error.message, here.mark, error.hint))
    return problems


def _burst(burst: Burst) -> Iterator[Record]:
    fields = DEFAULTS | burst.record
    start = EPOCH_S + burst.at_s
    fixed = _convert(_fill_all(fields, 0), start)
    varying = {name: value for name, value in fields.items() if _varies(value)}
    for i in range(burst.count):
        ts = start + i * burst.every_s
        if varying:
            yield _convert(fields | _fill_all(varying, i), ts)
        else:
            yield msgspec.structs.replace(fixed, ts=ts)


def _convert(fields: dict[str, object], ts: float) -> Record:
    known = {name: value for name, value in fields.items() if value is not None}
    try:
        record = msgspec.convert(known | {"ts": ts}, Record, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidError(f"does not fit the record: {error}") from error
    client, peer = _canonical(record.client), record.peer and _canonical(record.peer)
    if (client, peer) == (record.client, record.peer):
        return record
    return msgspec.structs.replace(record, client=client, peer=peer)


@lru_cache(maxsize=4096)
def _canonical(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        raise InvalidError(f"{address!r} is no address", hint="like 192.0.2.7") from None
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(parsed)


def _varies(value: object) -> bool:
    if isinstance(value, list):
        return any(map(_varies, value))
    return isinstance(value, str) and "{" in value


def _fill_all(fields: dict[str, object], i: int) -> dict[str, object]:
    return {name: _fill(value, i) for name, value in fields.items()}


def _fill(value: object, i: int) -> object:
    if isinstance(value, list):
        return [_fill(item, i) for item in value]
    if not isinstance(value, str) or "{" not in value:
        return value

    def number(match: re.Match[str]) -> str:
        index = _INDEX.fullmatch(match[1])
        if not index:
            hint = "a text may hold {i} and {i%N}"
            raise InvalidError(f"{match[0]} is no number to fill in", hint=hint)
        return str(i % int(index[1]) if index[1] else i)

    return _BRACES.sub(number, value)
