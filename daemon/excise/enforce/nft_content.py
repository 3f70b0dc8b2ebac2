"""What our sets hold: elements to messages, and what the kernel tells of them back. Pure."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from excise.decide.plan import BITS, TOLERANCE_S, ChangeSet, Element, Measure, Span, merged
from excise.enforce.base import Traffic
from excise.enforce.nft_elem import (
    RawElement,
    element,
    element_expressions,
    elements_message,
    elements_messages,
    end_element,
)
from excise.enforce.nft_layout import (
    ALLOW,
    FAMILIES,
    GUARD_ALLOW,
    GUARDED,
    PORTS,
    TABLE,
    SetSpec,
    spec_of,
    stateful,
)
from excise.enforce.nft_wire import Message, Msg
from excise.model.portguard import PortGuard

#: deadlines further off are cut: the kernel's clock cannot count them
MOST_S = 10 * 365 * 86_400.0
#: a deadline that has passed meanwhile is met this soon
LEAST_S = 1.0
#: elements of a message: a removal and the addition before it share a transaction
GROUP = 500


def key_of(version: int, address: int) -> bytes:
    """Return an address as a set's key."""
    return address.to_bytes(BITS[version] // 8, "big")


@dataclass(frozen=True, slots=True)
class Guards:
    """What holds whatever is decided: what always passes, which ports are touched at all.

    `shut` ports are open to `shut_allow` alone. Spans are disjoint, everything is in order.
    """

    allow: tuple[Span, ...] = ()
    ports: tuple[int, ...] = ()
    shut: tuple[int, ...] = ()
    shut_allow: tuple[Span, ...] = ()


def guards_of(allow: Iterable[str], ports: Iterable[int], guard: PortGuard) -> Guards:
    """Return the guards in the kernel's terms. Raises ValueError for what is no CIDR or port."""
    shut_allow = merged(guard.allow) if guard.ports else ()
    held = Guards(
        allow=tuple(merged(allow)),
        ports=tuple(sorted(set(ports))),
        shut=tuple(sorted(set(guard.ports))),
        shut_allow=tuple(shut_allow),
    )
    wrong = [port for port in (*held.ports, *held.shut) if not 0 < port < 1 << 16]
    if wrong:
        raise ValueError(f"not a port: {wrong}")
    return held


def guards(held: Guards) -> Iterator[Message]:
    """Yield what makes the guard sets hold exactly this."""
    yield from _filled(ALLOW, PORTS, held.allow, held.ports)
    if held.shut:
        yield from _filled(GUARD_ALLOW, GUARDED, held.shut_allow, held.shut)


def _filled(
    nets: SetSpec, numbers: SetSpec, spans: Sequence[Span], ports: Sequence[int]
) -> Iterator[Message]:
    for version, family in FAMILIES.items():
        for spec in (nets, numbers):
            yield elements_message(Msg.DELSETELEM, family, TABLE, spec.name, ())
        keys = [e for s in spans if s.version == version for e in _bounds(s, interval=True)]
        yield from elements_messages(Msg.NEWSETELEM, family, TABLE, nets.name, keys)
        packed = [element(struct.pack("!H", port)) for port in ports]
        yield from elements_messages(Msg.NEWSETELEM, family, TABLE, numbers.name, packed)


def changes(change: ChangeSet, clock: Callable[[], float], *, in_place: bool) -> Iterator[Message]:
    """Yield the messages of a change, removals first, none larger than it may be.

    `clock` gives epoch seconds; it is asked as the messages are taken, since a large change
    takes seconds. A removal is preceded by an addition of the same, so that one that has lapsed
    meanwhile is no error. Without `in_place`, for kernels before 6.12 that leave the deadline of
    a held element alone, additions are taken out and put in again.
    """
    new, delete = Msg.NEWSETELEM, Msg.DELSETELEM
    for group in _groups(change.removals):
        for kind in (new, delete):
            yield from _elements(kind, group, clock())
    for group in _groups(change.additions):
        for kind in (new,) if in_place else (new, delete, new):
            yield from _elements(kind, group, clock())


def _groups(elements: Iterable[Element]) -> Iterator[list[Element]]:
    """Yield runs of elements of the same set, short enough for one message."""
    open_groups: dict[tuple[int, str], list[Element]] = {}
    for e in elements:
        where = (e.span.version, spec_of(e.measure, e.span).name)
        group = open_groups.setdefault(where, [])
        group.append(e)
        if len(group) == GROUP:
            yield open_groups.pop(where)
    yield from open_groups.values()


def _elements(kind: Msg, group: Sequence[Element], now: float) -> Iterator[Message]:
    spec = spec_of(group[0].measure, group[0].span)
    packed: list[bytes] = []
    for e in group:
        if kind is Msg.DELSETELEM:
            packed += _bounds(e.span, interval=spec.interval)
            continue
        timeout_ms = int(min(max(e.until - now, LEAST_S), MOST_S) * 1000)
        own = element_expressions(*stateful(spec, e.rate)) if spec.limited else b""
        packed += _bounds(e.span, interval=spec.interval, timeout_ms=timeout_ms, expressions=own)
    family = FAMILIES[group[0].span.version]
    return elements_messages(kind, family, TABLE, spec.name, packed)


def _bounds(
    span: Span, *, interval: bool, timeout_ms: int | None = None, expressions: bytes = b""
) -> list[bytes]:
    """Return the entries of a span; the end of the address space has no closing one."""
    entries = [element(key_of(span.version, span.start), timeout_ms, expressions)]
    if interval and span.end + 1 < 1 << BITS[span.version]:
        entries.append(end_element(key_of(span.version, span.end + 1)))
    return entries


def rate_of(raw: RawElement, measure: Measure) -> int:
    """Return an element's rate in the unit of its measure; 0 where it has none."""
    for name, fields in raw.expressions:
        if name == "limit":
            rate = int.from_bytes(fields.get(1, b""), "big")
            per_s = int.from_bytes(fields.get(2, b""), "big")
            return rate * 3600 // max(1, per_s) if measure is Measure.CONNECTIONS else rate
    return 0


def traffic_of(raw: RawElement) -> Traffic | None:
    """Return what an element's counter says, None where it has none."""
    for name, fields in raw.expressions:
        if name == "counter":
            return Traffic(
                packets=int.from_bytes(fields.get(2, b""), "big"),
                bytes=int.from_bytes(fields.get(1, b""), "big"),
            )
    return None


def spans_of(version: int, raws: Iterable[RawElement]) -> Iterator[tuple[Span, RawElement]]:
    """Pair the starts and ends of an interval set as dumped, in any order."""
    last = (1 << BITS[version]) - 1
    begun: RawElement | None = None
    for raw in sorted(raws, key=lambda r: (r.key, not r.is_end)):
        address = int.from_bytes(raw.key, "big")
        if begun:
            yield Span(version, int.from_bytes(begun.key, "big"), address - 1), begun
        begun = None if raw.is_end else raw
    if begun:
        yield Span(version, int.from_bytes(begun.key, "big"), last), begun


def elements_of(
    measure: Measure, version: int, spec: SetSpec, raws: Iterable[RawElement], now: float
) -> Iterator[Element]:
    """Yield what a dumped set holds; `now` is the time of the dump, epoch seconds."""
    pairs: Iterable[tuple[Span, RawElement]]
    if spec.interval:
        pairs = spans_of(version, raws)
    else:
        pairs = ((_host(version, raw.key), raw) for raw in raws)
    for span, raw in pairs:
        left_s = MOST_S if raw.expires_ms is None else raw.expires_ms / 1000
        yield Element(measure, span, rate_of(raw, measure), now + left_s)


def _host(version: int, key: bytes) -> Span:
    address = int.from_bytes(key, "big")
    return Span(version, address, address)


def query(e: Element, *, end: bool = False) -> Message:
    """Return the request for the entry that holds the start of a span, or that closes it.

    The closing one is asked for from the last address: at the first, the kernel may answer with
    the end of a neighbour before it.
    """
    key = key_of(e.span.version, e.span.end if end else e.span.start)
    entry = end_element(key) if end else element(key)
    name = spec_of(e.measure, e.span).name
    return elements_message(Msg.GETSETELEM, FAMILIES[e.span.version], TABLE, name, [entry])


def agrees(wanted: Element, held: Element | None, now: float, took_s: float = 0.0) -> bool:
    """Whether the kernel holds what was wanted, or it may have lapsed by now.

    `took_s` is how long sending and reading took, by which deadlines may be off.
    """
    slack_s = TOLERANCE_S + took_s
    if held is None:
        return wanted.until <= now + slack_s
    until = now + min(max(wanted.until - now, LEAST_S), MOST_S)
    return (
        held.span == wanted.span and held.rate == wanted.rate and abs(held.until - until) <= slack_s
    )
