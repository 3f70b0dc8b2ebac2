"""What our sets hold: elements to messages, and what the kernel tells of them back. Pure."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from excise.decide.plan import TOLERANCE_S, ChangeSet, Element, Measure
from excise.decide.span import BITS, SLASH64, Span, merged
from excise.enforce.nft_elem import (
    KEY_AT,
    LIST_BYTES,
    RawElement,
    element,
    element_expressions,
    elements_message,
    elements_messages,
    end_element,
    plain_columns,
    raw_elements,
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
from excise.enforce.nft_wire import Message, Msg, Reply
from excise.model.portguard import PortGuard

#: deadlines further off are cut: the kernel's clock cannot count them
MOST_S = 10 * 365 * 86_400.0
#: a deadline that has passed meanwhile is met this soon
LEAST_S = 1.0
#: elements that are added and removed, or the other way, within one transaction
GROUP = 2000


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


def changes(
    change: ChangeSet, clock: Callable[[], float], *, in_place: bool
) -> Iterator[list[Message]]:
    """Yield the messages of a change, in lists of which each belongs into one transaction.

    All networks come first and together, since pieces of one replace pieces of another. `clock`
    gives epoch seconds; it is asked as the messages are taken, since a large change takes
    seconds. A removal is preceded by an addition of the same, so that one that has lapsed
    meanwhile is no error. Without `in_place`, for kernels before 6.12 that leave the deadline of
    a held element alone, additions are taken out and put in again; so is in any case what changes
    its rate, which no kernel does in place.
    """
    new, delete = Msg.NEWSETELEM, Msg.DELSETELEM
    anew = (new,) if in_place else (new, delete, new)
    removals, additions, replaced = list(change.removals), list(change.additions), []
    if removals and additions:
        removed = {(e.measure, e.span) for e in removals}
        replaced = [e for e in additions if (e.measure, e.span) in removed]
        again = {(e.measure, e.span) for e in replaced}
        removals = [e for e in removals if (e.measure, e.span) not in again]
        additions = [e for e in additions if (e.measure, e.span) not in again]
    steps = (((new, delete), removals), ((new, delete, new), replaced), (anew, additions))
    shelved = [(kinds, *shelf) for kinds, elements in steps for shelf in _shelve(elements)]
    networks: list[Message] = []
    for kinds, version, spec, elements in shelved:
        if spec.interval:
            networks += (m for k in kinds for m in _networks(k, version, spec, elements, clock()))
    if networks:
        yield networks
    for kinds, version, spec, elements in shelved:
        if not spec.interval:
            for at in range(0, len(elements), GROUP):
                group = elements[at : at + GROUP]
                yield [m for k in kinds for m in _clients(k, version, spec, group, clock())]


def _shelve(elements: Iterable[Element]) -> Iterator[tuple[int, SetSpec, list[Element]]]:
    """Yield (IP version, set, its elements)."""
    found: dict[tuple[int, str], tuple[int, SetSpec, list[Element]]] = {}
    # single addresses of one measure come by the ten thousand: what follows one is not asked for
    version, measure, alike = 0, None, list[Element]()
    for e in elements:
        span = e.span
        is_host = span.start == span.end
        if is_host and span.version == version and e.measure is measure:
            alike.append(e)
            continue
        spec = spec_of(e.measure, span)
        shelf = found.setdefault((span.version, spec.name), (span.version, spec, []))[2]
        shelf.append(e)
        if is_host:
            version, measure, alike = span.version, e.measure, shelf
    yield from found.values()


def _networks(
    kind: Msg, version: int, spec: SetSpec, elements: Iterable[Element], now: float
) -> Iterator[Message]:
    """Yield the messages that add or remove elements of an interval set."""
    packed: list[bytes] = []
    for e in elements:
        if kind is Msg.DELSETELEM:
            packed += _bounds(e.span, interval=True)
        else:
            timeout_ms = int(min(max(e.until - now, LEAST_S), MOST_S) * 1000)
            own = element_expressions(*stateful(spec, e.rate)) if spec.limited else b""
            packed += _bounds(e.span, interval=True, timeout_ms=timeout_ms, expressions=own)
    yield from elements_messages(kind, FAMILIES[version], TABLE, spec.name, packed)


def _clients(
    kind: Msg, version: int, spec: SetSpec, elements: Sequence[Element], now: float
) -> Iterator[Message]:
    """Yield the messages that add or remove elements of a hash set.

    Elements of one rate differ in two or three columns only: a pattern is repeated, and those
    columns filled.
    """
    by_rate: dict[int, list[Element]] = {}
    for e in elements:
        by_rate.setdefault(e.rate, []).append(e)
    for rate, alike in by_rate.items():
        own = b""
        if spec.limited and kind is Msg.NEWSETELEM:
            own = element_expressions(*stateful(spec, rate))
        rows = _rows(version, alike, own, None if kind is Msg.DELSETELEM else now)
        most = LIST_BYTES // rows.shape[1]
        for at in range(0, len(rows), most):
            entries = rows[at : at + most].tobytes()
            yield elements_message(kind, FAMILIES[version], TABLE, spec.name, [entries])


def _rows(
    version: int, alike: Sequence[Element], own: bytes, now: float | None
) -> NDArray[np.uint8]:
    """Return an entry a row, with the time left at `now` unless it is None."""
    length = BITS[version] // 8
    pattern = element(bytes(length), None if now is None else 0, own)
    rows = np.tile(np.frombuffer(pattern, np.uint8), (len(alike), 1))
    keys = b"".join([e.span.start.to_bytes(length, "big") for e in alike])
    rows[:, KEY_AT : KEY_AT + length] = np.frombuffer(keys, np.uint8).reshape(-1, length)
    if now is not None:
        until = np.array([e.until for e in alike])
        left_ms = (np.clip(until - now, LEAST_S, MOST_S) * 1000).astype(">u8")
        for at in (KEY_AT + length + 4, KEY_AT + length + 16):
            rows[:, at : at + 8] = left_ms.view(np.uint8).reshape(-1, 8)
    return rows


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
        pairs = ((_client(version, raw.key, spec), raw) for raw in raws)
    for span, raw in pairs:
        left_s = MOST_S if raw.expires_ms is None else raw.expires_ms / 1000
        yield Element(measure, span, rate_of(raw, measure), now + left_s)


def dropped_of(
    version: int, spec: SetSpec, replies: Iterable[Reply], now: float
) -> Iterator[Element]:
    """Yield what a dumped set of dropped clients holds; as `elements_of`, but quick."""
    length = BITS[version] // 8
    for reply in replies:
        columns = plain_columns(reply, length)
        if columns is None:
            yield from elements_of(Measure.DROP, version, spec, raw_elements(reply), now)
            continue
        keys, left_ms = columns
        for at, left in enumerate(left_ms):
            span = _client(version, keys[at * length : (at + 1) * length], spec)
            yield Element(Measure.DROP, span, 0, now + left / 1000)


def _client(version: int, key: bytes, spec: SetSpec) -> Span:
    address = int.from_bytes(key, "big")
    return Span(version, address, address | SLASH64 if spec.masked else address)


def is_network(e: Element) -> bool:
    """Whether it is held in an interval set."""
    return spec_of(e.measure, e.span).interval


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
