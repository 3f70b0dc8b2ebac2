"""Columns of slots to records: what `assemble` does for one line, for many ordinary ones at once.

Anything out of the ordinary makes the whole batch odd; its lines are then looked at one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from operator import attrgetter
from types import MappingProxyType
from typing import Any, cast

import msgspec

from excise.decode import slots
from excise.decode.assemble import ORIGIN, Assembler, Origin
from excise.decode.base import LineRejectedError
from excise.decode.fields import BOUNDS, FIELDS, NAMES, TEXTS
from excise.decode.readers import ONLY_WITH
from excise.decode.request import split_request, without_query
from excise.decode.slots import Read
from excise.model.record import MAX_NAME, MAX_TS, Record

Column = Sequence[Any]
#: the values of a line's slots that tell of its origin
Key = tuple[object, ...]
#: what says "not known"
UNKNOWN: frozenset[object] = frozenset({None, "", "-"})
_DEFAULTS: Mapping[str, Any] = {
    f.name: None if f.required else f.default for f in msgspec.structs.fields(Record)
}
_ORDER = list(_DEFAULTS)
NO_KINDS: Mapping[str, type] = MappingProxyType({})
_CACHE_SIZE = 65_536


_client, _peer, _port = attrgetter("client"), attrgetter("peer"), attrgetter("port")
_named, _unbelieved_hops = attrgetter("named"), attrgetter("unbelieved_hops")


#: slots of which one says where a request came from
_TELLING = (slots.REMOTE, slots.FORWARDED_FOR, slots.FORWARDED)


class OddError(Exception):
    """A batch holds something that is not ordinary."""


class Columns:
    """Makes records of columns. Owns bounded caches of what clients send again and again."""

    def __init__(self, to: Assembler) -> None:
        self._to = to
        self._requests: dict[str, tuple[str, str]] = {}
        self._origins: dict[tuple[str, ...], dict[Key, Origin]] = {}

    def records(
        self, columns: Mapping[str, Column], n: int, kinds: Mapping[str, type] = NO_KINDS
    ) -> list[Record] | None:
        """Return the records of n lines, None if one of them is odd.

        `kinds`: the type of all values of a column, where that is known.
        """
        try:
            read = {
                name: _field(name, column, kinds.get(name))
                for name, column in columns.items()
                if name not in slots.JOINT
            }
            self._add_origin(columns, read)
            self._add_account(columns, read, n)
            self._add_request(columns, read)
            _add_end(columns, read)
        except (OddError, LineRejectedError):
            return None
        if "ts" not in read or None in read["ts"]:
            return None
        return _make(read)

    def _add_origin(self, columns: Mapping[str, Column], read: dict[str, Column]) -> None:
        if "client" in read or "peer" in read or columns.keys().isdisjoint(_TELLING):
            raise OddError  # a line that names them itself is looked at as a whole
        if slots.PROXY_PROTOCOL_PORT in columns:
            raise OddError
        ports = columns.get(slots.REMOTE_PORT), columns.get(slots.SOCKET_PORT)
        try:
            said = [s for s in ORIGIN if s in columns and not UNKNOWN.issuperset(columns[s])]
            if slots.SOCKET not in said and ports == (None, None):
                columns, ports = self._apart(columns)
            if said == [slots.REMOTE] and self._add_peers(columns[slots.REMOTE], ports, read):
                return
            if not said:
                raise OddError
            keys = list(zip(*map(columns.__getitem__, said), strict=True))
            cache = self._origins.setdefault(tuple(said), {})
            origins = list(map(cache.get, keys))
        except TypeError:  # a list where an address belongs
            raise OddError from None
        if None in origins:
            origins = [self._settle(said, key, cache) for key in keys]
        found = cast("list[Origin]", origins)
        read["client"] = list(map(_client, found))
        read["peer"] = list(map(_peer, found))
        if "" in read["client"]:
            raise OddError
        hops = list(map(_unbelieved_hops, found))
        if max(hops) > 0:
            read["unbelieved_hops"] = hops
        _add_ports(found, ports, read)

    def _apart(
        self, columns: Mapping[str, Column]
    ) -> tuple[Mapping[str, Column], tuple[Column | None, Column | None]]:
        """Return columns and ports with REMOTE's ports apart, where each value has one beside.

        Ports change with each connection; the addresses alone are met again.
        """
        remote = columns.get(slots.REMOTE, ("",))
        if not isinstance(remote[0], str) or not self._to.addresses.endpoint(remote[0])[1]:
            return columns, (None, None)
        if not all(map(isinstance, remote, repeat(str))):
            raise OddError
        hosts, ports = zip(*map(self._to.addresses.endpoint, remote), strict=True)
        if "" in ports or "" in hosts:
            return columns, (None, None)
        # Port 0 stands behind an address out of a header.
        known = [None if port == "0" else port for port in ports] if "0" in ports else ports
        return {**columns, slots.REMOTE: hosts}, (known, None)

    def _add_peers(
        self, remote: Column, ports: tuple[Column | None, Column | None], read: dict[str, Column]
    ) -> bool:
        """Add peers that are the clients; return whether all of them are written as addresses."""
        if not all(map(isinstance, remote, repeat(str))):
            raise OddError
        clients = self._to.addresses.canonical_all(remote)
        if "" in clients or ports[1] is not None or "client_port" in read:
            return False
        read["client"] = clients
        if ports[0] is not None:
            read["client_port"] = _field("client_port", ports[0])
        return True

    def _settle(self, said: Sequence[str], key: Key, cache: dict[Key, Origin]) -> Origin:
        """Return the origin of the values of the slots that a line has."""
        origin = cache.get(key)
        if origin is None:
            if len(cache) >= _CACHE_SIZE:
                cache.clear()
            known = {s: v for s, v in zip(said, key, strict=True) if v not in UNKNOWN}
            origin = cache[key] = self._to.settle(map(known.get, ORIGIN))
        return origin

    def _add_account(self, columns: Mapping[str, Column], read: dict[str, Column], n: int) -> None:
        claims = columns.get(slots.CLAIM)
        if claims is None or UNKNOWN.issuperset(claims):
            return
        if not all(map(isinstance, claims, repeat((str, type(None))))):
            raise OddError
        known = read.get("account") or [""] * n
        account = self._to.context.account
        status = read.get("status") or repeat("")
        read["account"] = [
            told or account("" if claim in UNKNOWN else claim, str(code))
            for told, claim, code in zip(known, claims, status, strict=False)
        ]

    def _add_request(self, columns: Mapping[str, Column], read: dict[str, Column]) -> None:
        if "path" in read:
            read["path"] = each_once(read["path"], without_query)
        if slots.REQUEST not in columns:
            return
        if "method" in read or "path" in read:
            raise OddError
        texts = columns[slots.REQUEST]
        if not all(map(isinstance, texts, repeat(str))):
            raise OddError
        found = list(map(self._requests.get, texts))
        if None in found:
            if len(self._requests) >= _CACHE_SIZE:
                self._requests.clear()
            for text in texts:
                if text not in self._requests:
                    self._requests[text] = ("", "") if text == "-" else split_request(text)
            found = [self._requests[text] for text in texts]
        read["method"], read["path"] = zip(*cast("list[tuple[str, str]]", found), strict=True)


def _make(read: Mapping[str, Column]) -> list[Record]:
    """Return records of columns; the rest of their fields is not known."""
    names = _ORDER[: 1 + max(map(_ORDER.index, read))]
    return list(map(Record, *(read.get(n) or repeat(_DEFAULTS[n]) for n in names)))


def _add_ports(
    origins: Sequence[Origin], ports: tuple[Column | None, Column | None], read: dict[str, Column]
) -> None:
    """Add the clients' ports, of columns of ports and of those beside an address."""
    if ports == (None, None) and not any(map(_port, origins)):
        return
    if ports[0] is not None and UNKNOWN.isdisjoint(ports[0]) and all(map(_named, origins)):
        picked: Column = ports[0]
    else:
        near, far = (repeat(None) if column is None else column for column in ports)
        picked = [o.pick(n, f) for o, n, f in zip(origins, near, far, strict=False)]
    told = _field("client_port", picked)
    given = read.get("client_port")
    if given is not None:
        told = [one if one != -1 else other for one, other in zip(given, told, strict=True)]
    read["client_port"] = told


def _add_end(columns: Mapping[str, Column], read: dict[str, Column]) -> None:
    """Add the end of requests of which a line tells the begin."""
    starts = columns.get(slots.START)
    if starts is None or ("ts" in read and None not in read["ts"]):
        return
    if "ts" in read or not all(map(isinstance, starts, repeat(float))):
        raise OddError
    took = read.get("duration") or repeat(0.0)
    read["ts"] = [begun + max(0.0, s) for begun, s in zip(starts, took, strict=False)]
    if not max(read["ts"]) < MAX_TS:
        raise OddError


def merge(best: Column | None, other: Column) -> Column:
    """Return of two columns that fill a slot the first where it is known, else the second."""
    if best is None:
        return other
    if UNKNOWN.isdisjoint(best):
        return best
    return [b if a in UNKNOWN else a for a, b in zip(best, other, strict=True)]


def each_once(column: Column, read: Read | None, kind: type | None = None) -> Column:
    """Return a column read; each different value is read once. Raises LineRejectedError.

    `kind`: the type of all values, where that is known.
    """
    if read is None:
        return column
    kinds = {kind} if kind else set(map(type, column))
    if kinds == {str} and (marks := ONLY_WITH.get(read)):
        text = "".join(column)
        if not any(mark in text for mark in marks):
            return column
    try:
        values = set(column)
    except TypeError:  # a list, where there should be none
        raise OddError from None
    if len(kinds - {type(None)}) > 1:  # 1, 1.0 and true are one key of a dict
        return [None if value is None else read(value) for value in column]
    found = {value: None if value is None else read(value) for value in values}
    return list(map(found.__getitem__, column))


def _field(name: str, column: Column, kind: type | None = None) -> Column:
    """Return a field's values. Raises OddError, LineRejectedError."""
    kinds = {kind} if kind else set(map(type, column))
    if name in BOUNDS and len(kinds) == 1:
        numbers = _numbers(name, column, next(iter(kinds)))
        if numbers is not None:
            return numbers
    elif name in TEXTS or name in NAMES:
        short = name not in NAMES or kinds != {str} or max(map(len, column)) <= MAX_NAME
        if kinds == {str} and short and UNKNOWN.isdisjoint(column):
            return column
        if kinds == {int} and name in TEXTS:
            return list(map(str, column))
    default, convert = _DEFAULTS[name], FIELDS[name]
    read = each_once(column, convert)
    return [default if value is None else value for value in read] if None in read else read


def _numbers(name: str, column: Column, written: type) -> Column | None:
    """Return numbers that are all known and in bounds, else None."""
    kind, low, high = BOUNDS[name]
    numbers: Iterable[Any] | None = None
    if written is kind:
        numbers = column
    elif written is int and kind is float:
        numbers = list(map(float, column)) if max(map(int.bit_length, column)) <= 64 else None
    elif written is str:
        numbers = _from_text(column, kind)
    if numbers is None:
        return None
    found = cast("list[float]", numbers)
    inside = low <= min(found) and max(found) <= high and (name != "ts" or max(found) < MAX_TS)
    return found if inside else None


def _from_text(column: Sequence[str], kind: type) -> list[Any] | None:
    """Return numbers of plain digits, with a point if they may be fractions; else None."""
    text = "".join(column)
    if "" in column or not text.isascii():
        return None
    try:
        if kind is int:
            return list(map(int, column)) if text.isdecimal() else None
        return list(map(float, column)) if not text.strip("0123456789.") else None
    except ValueError:
        return None
