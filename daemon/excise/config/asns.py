"""Reads a table of autonomous systems, as iptoasn.com has it: start, end, number, country, name.

A line is a range, its fields divided by tabs; further fields than three are not read. Ranges of
number 0 are not routed, and belong to no system.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_pton

from excise.config.values import Config
from excise.errors import ConfigError, Mark
from excise.model.asns import AsnTable, Ranges, ranges
from excise.unpack import UNPACK_ERRORS, is_packed, unpacked

HINT = "like 192.0.2.0<tab>192.0.2.255<tab>64496"
MOST_ASN = (1 << 32) - 1
#: (start, end, asn, line)
Row = tuple[int, int, int, int]


def with_asns(config: Config) -> Config:
    """Return the configuration with the table that it names. Raises ConfigError."""
    table = read_asns(config.asn_table) if config.asn_table else None
    return replace(config, asns=table)


def read_asns(path: Path) -> AsnTable:
    """Return the table in a file, plain or packed (`.gz`, `.zst`). Raises ConfigError."""
    try:
        with ExitStack() as stack:
            raw = stack.enter_context(path.open("rb"))
            lines = stack.enter_context(unpacked(raw, path)) if is_packed(path) else raw
            return parse_asns(lines, str(path))
    except (OSError, *UNPACK_ERRORS) as error:
        why = getattr(error, "strerror", None) or error
        hint = "name a table such as ip2asn-combined.tsv, or take asn_table out"
        raise ConfigError(f"asn_table: {path} cannot be read: {why}", None, hint) from error


def parse_asns(lines: Iterable[bytes], name: str) -> AsnTable:
    """Return the table in lines; `name` is the file's. Raises ConfigError."""
    rows: dict[int, list[Row]] = {4: [], 16: []}
    for number, line in enumerate(lines, 1):
        fields = line.rstrip(b"\r\n").split(b"\t")
        if fields == [b""] or line.startswith(b"#"):
            continue
        try:
            start, end, asn = _address(fields[0]), _address(fields[1]), int(fields[2])
        except (ValueError, IndexError, OSError):
            raise _error(name, number, "is no range with a number") from None
        if len(start) != len(end) or start > end or not 0 <= asn <= MOST_ASN:
            raise _error(name, number, "is a range that ends before it begins, or of no system")
        if asn:
            first, last = int.from_bytes(start[:8]), int.from_bytes(end[:8])
            rows[len(start)].append((first, last, asn, number))
    return AsnTable(_sorted(rows[4], name), _sorted(rows[16], name))


def _address(text: bytes) -> bytes:
    plain = text.decode("ascii")
    return inet_pton(AF_INET6 if ":" in plain else AF_INET, plain)


def _sorted(rows: list[Row], name: str) -> Ranges:
    """Sort rows; where two overlap is an error. Those within one v6 /64 are one place to us."""
    rows.sort()
    last = -1
    for start, end, _, number in rows:
        if start < last:
            raise _error(name, number, "overlaps another range")
        last = end
    return ranges([row[:3] for row in rows])


def _error(name: str, line: int, message: str) -> ConfigError:
    return ConfigError(message, Mark(name, line, 1), HINT)
