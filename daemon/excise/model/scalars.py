"""Readers of single values in configuration and rule files. All raise InvalidError."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from enum import StrEnum
from ipaddress import ip_network
from typing import TypeVar

from excise.errors import InvalidError
from excise.model.document import Node, describe, each, unknown
from excise.model.duration import parse_duration

BYTES = {
    "B": 1,
    "kB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
}
PER_MINUTE = {"s": 60.0, "min": 1.0, "h": 1 / 60}
_BYTE_RATE = re.compile(rf"(\d+(?:\.\d+)?)\s*({'|'.join(BYTES)})/s")
_COUNT_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(s|min|h)")
_ZERO = re.compile(r"0(?:ms|s|m|min|h|d)")
E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")


def text(node: Node) -> str:
    """Read a text that says something."""
    if not isinstance(node.value, str):
        is_scalar = isinstance(node.value, (bool, int, float))
        hint = "put it in quotes" if is_scalar else ""
        raise node.error(f"must be text, found {describe(node.value)}", hint)
    if not node.value.strip():
        raise node.error("must not be empty")
    return node.value.strip()


texts = each(text)


def boolean(node: Node) -> bool:
    """Read true or false."""
    if not isinstance(node.value, bool):
        raise node.error(f"must be true or false, found {describe(node.value)}")
    return node.value


def number(node: Node) -> float:
    """Read a finite number."""
    value = node.value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise node.error(f"must be a number, found {describe(value)}")
    if not abs(value) < 1e300:
        raise node.error(f"must be a finite number, found {value}")
    return float(value)


def integer(node: Node) -> int:
    """Read a whole number."""
    if isinstance(node.value, bool) or not isinstance(node.value, int):
        raise node.error(f"must be a whole number, found {describe(node.value)}")
    return node.value


def between(low: float, high: float, read: Callable[[Node], T]) -> Callable[[Node], T]:
    """Return a reader of numbers from `low` to `high`, both included."""

    def bounded(node: Node) -> T:
        value = read(node)
        if isinstance(value, (int, float)) and not low <= value <= high:
            raise node.error(f"is out of range: {value:g}", f"from {low:g} to {high:g}")
        return value

    return bounded


def duration(node: Node) -> float:
    """Read a duration with its unit, in seconds, above zero."""
    if not isinstance(node.value, str):
        hint = "write it with its unit, like 90s, 15m, 2d"
        raise node.error(f"must be a duration, found {describe(node.value)}", hint)
    try:
        return parse_duration(node.value)
    except InvalidError as error:
        raise node.error(f"is wrong: {error.message}", error.hint) from error


def duration_or_zero(node: Node) -> float:
    """Read a duration, in seconds; `0s` is one."""
    if isinstance(node.value, str) and _ZERO.fullmatch(node.value.strip()):
        return 0.0
    return duration(node)


def choice(kind: type[E]) -> Callable[[Node], E]:
    """Return a reader of one member of an enumeration, by its value."""
    members = {member.value: member for member in kind}

    def read(node: Node) -> E:
        return members[one_of(members)(node)]

    return read


def one_of(known: Iterable[str]) -> Callable[[Node], str]:
    """Return a reader of one of the names in `known`."""

    def read(node: Node) -> str:
        name = text(node)
        if name not in known:
            raise unknown(
                f"value of {node.path[-1] if node.path else 'file'}:", node.mark, name, known
            )
        return name

    return read


def network(node: Node) -> str:
    """Read an address or CIDR; return canonical CIDR text, a bare address as /32 or /128."""
    written = text(node)
    try:
        return str(ip_network(written))
    except ValueError:
        pass
    try:
        meant = ip_network(written, strict=False)
    except ValueError:
        raise node.error(f"holds {written!r}, no address or CIDR", "like 192.0.2.0/24") from None
    raise node.error(f"holds {written!r} with bits beyond its prefix", f"the network is {meant}")


def byte_rate(node: Node) -> int:
    """Read `50 KiB/s` as bytes per second."""
    match = _BYTE_RATE.fullmatch(node.value) if isinstance(node.value, str) else None
    rate = round(float(match[1]) * BYTES[match[2]]) if match else 0
    if rate < 1:
        raise node.error(f"must be a rate of bytes, found {describe(node.value)}", "like 50 KiB/s")
    return rate


def per_minute(node: Node) -> float:
    """Read `6/min` as a count per minute."""
    match = _COUNT_RATE.fullmatch(node.value) if isinstance(node.value, str) else None
    rate = float(match[1]) * PER_MINUTE[match[2]] if match else 0.0
    if rate <= 0:
        raise node.error(f"must be a rate of events, found {describe(node.value)}", "like 6/min")
    return rate
