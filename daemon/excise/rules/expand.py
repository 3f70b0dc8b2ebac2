"""A rule test's input → records. Pure; event time starts at `EPOCH_S`."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator

import msgspec
import numpy as np

from excise.decode.address import Addresses
from excise.decode.base import LineRejectedError
from excise.decode.fields import build
from excise.errors import InvalidError
from excise.model.asns import AsnTable, Ranges
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
            _build({"client": "192.0.2.1", name: _fill(value, 0)}, EPOCH_S, Addresses(16))
        except InvalidError as error:
            here = node.child(name, value)
            problems.append(here.error(error.message, error.hint))
    return problems


def _burst(burst: Burst) -> Iterator[Record]:
    addresses = Addresses(4096)
    fields = DEFAULTS | burst.record
    varying = {name: value for name, value in fields.items() if _varies(value)}
    start = EPOCH_S + burst.at_s
    fixed = _build(fields | _fill_all(varying, 0), start, addresses)
    for i in range(burst.count):
        ts = start + i * burst.every_s
        if varying:
            yield _build(fields | _fill_all(varying, i), ts, addresses)
        else:
            yield msgspec.structs.replace(fixed, ts=ts)


def _build(fields: dict[str, object], ts: float, addresses: Addresses) -> Record:
    """Return the record that a logged line with these fields would be."""
    try:
        record, ignored = build(fields | {"ts": ts}, addresses)
    except LineRejectedError as error:
        raise InvalidError(f"would be rejected as a log line ({error.reason})") from error
    if ignored:
        raise InvalidError("holds a value that a log line may not have")
    return record


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
            raise InvalidError(f"holds {match[0]}, no number to fill in", hint=hint)
        return str(i % int(index[1]) if index[1] else i)

    return _BRACES.sub(number, value)


def documented_asns() -> AsnTable:
    """Return the table that tests know: a system for each v4 /28 and v6 /48 for documentation."""
    nets = (0xC0000200, 0xC6336400, 0xCB007100)  # 192.0.2.0, 198.51.100.0, 203.0.113.0
    v4 = np.array([net + host for net in nets for host in range(0, 256, 16)], dtype=np.uint64)
    v6 = np.uint64(0x20010DB8 << 32) + (np.arange(1 << 16, dtype=np.uint64) << np.uint64(16))
    first = 4_200_000_000
    return AsnTable(
        Ranges(v4, v4 + np.uint64(15), first + np.arange(len(v4))),
        Ranges(v6, v6 + np.uint64(0xFFFF), first + len(v4) + np.arange(len(v6))),
    )
