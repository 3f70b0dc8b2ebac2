"""Which class of the queueing discipline each throttled address or network has. Pure.

A class's number is given again once its throttle was lifted or has lapsed and its queue is empty.
More throttles than numbers are no error: what gets none is policed, like everything where there is
no shaping.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from excise.decide.plan import Element
from excise.decide.span import BITS, Span
from excise.enforce.nft_content import LEAST_S, MOST_S, key_of
from excise.enforce.nft_elem import element, elements_message, elements_messages, end_element
from excise.enforce.nft_layout import CLS, CLS_NET, FAMILIES, IFNAME_BYTES, SHAPED, TABLE
from excise.enforce.nft_wire import Message, Msg
from excise.enforce.tc_wire import HANDLE

#: a class's minor number is 16 bits; 0 is the discipline, 0xffff the root
MOST = 0xFFFE
#: a number is not given out again before the kernel has certainly let its element lapse
REST_S = 5.0


@dataclass(frozen=True, slots=True)
class Lane:
    """A throttle and the minor number of its class."""

    minor: int
    element: Element


@dataclass(slots=True)
class Lanes:
    """The lanes in use; at most `most`."""

    most: int = MOST
    used: dict[Span, Lane] = field(default_factory=dict)
    _given: int = 0
    _free: list[int] = field(default_factory=list)
    _ends: list[tuple[float, Span]] = field(default_factory=list)

    def put(self, e: Element) -> Lane | None:
        """Give a throttle a lane, the one it has if it has one; None where there is none left."""
        held = self.used.get(e.span)
        minor = held.minor if held else self._next()
        if minor is None:
            return None
        lane = self.used[e.span] = Lane(minor, e)
        heappush(self._ends, (e.until, e.span))
        return lane

    def take(self, span: Span) -> Lane | None:
        """Take a lane out of use; its number is given again only after `free`."""
        return self.used.pop(span, None)

    def free(self, lanes: Iterable[Lane]) -> None:
        """Let the numbers of lanes out of use be given again."""
        self._free += (lane.minor for lane in lanes)

    def lapsed(self, now: float) -> list[Lane]:
        """Take the lanes of throttles that have lapsed by `now` out of use, and return them."""
        found: list[Lane] = []
        while self._ends and self._ends[0][0] + REST_S < now:
            until, span = heappop(self._ends)
            lane = self.used.get(span)
            if lane and lane.element.until <= until:
                found.append(lane)
                self.take(span)
        return found

    def _next(self) -> int | None:
        if self._free:
            return self._free.pop()
        if self._given >= self.most:
            return None
        self._given += 1
        return self._given


def point(lanes: Iterable[Lane], now: float) -> Iterator[Message]:
    """Yield what makes the maps point to the classes; `now` in epoch seconds.

    In again after out: so that a deadline is renewed by kernels that do not renew in place.
    """
    for group in _by_map(lanes):
        yield from _entries(Msg.NEWSETELEM, group, now)
        yield from _entries(Msg.DELSETELEM, group, now)
        yield from _entries(Msg.NEWSETELEM, group, now)


def unpoint(lanes: Iterable[Lane], now: float) -> Iterator[Message]:
    """Yield what takes entries out of the maps; put in first, in case they lapsed meanwhile."""
    for group in _by_map(lanes):
        yield from _entries(Msg.NEWSETELEM, group, now)
        yield from _entries(Msg.DELSETELEM, group, now)


def empty() -> Iterator[Message]:
    """Yield what empties the maps."""
    for family in FAMILIES.values():
        for spec in (CLS, CLS_NET):
            yield elements_message(Msg.DELSETELEM, family, TABLE, spec.name, ())


def shape(interfaces: Iterable[str]) -> Iterator[Message]:
    """Yield what makes exactly these interfaces go by the maps."""
    keys = [element(name.encode().ljust(IFNAME_BYTES, b"\0")) for name in sorted(interfaces)]
    for family in FAMILIES.values():
        yield elements_message(Msg.DELSETELEM, family, TABLE, SHAPED.name, ())
        yield from elements_messages(Msg.NEWSETELEM, family, TABLE, SHAPED.name, keys)


def _by_map(lanes: Iterable[Lane]) -> list[list[Lane]]:
    groups: dict[tuple[int, bool], list[Lane]] = {}
    for lane in lanes:
        span = lane.element.span
        groups.setdefault((span.version, span.is_host), []).append(lane)
    return list(groups.values())


def _entries(kind: Msg, group: Sequence[Lane], now: float) -> Iterator[Message]:
    span = group[0].element.span
    name = (CLS if span.is_host else CLS_NET).name
    entries = [entry for lane in group for entry in _bounds(lane, now)]
    return elements_messages(kind, FAMILIES[span.version], TABLE, name, entries)


def _bounds(lane: Lane, now: float) -> Iterator[bytes]:
    e = lane.element
    timeout_ms = int(min(max(e.until - now, LEAST_S), MOST_S) * 1000)
    class_id = struct.pack("=I", HANDLE | lane.minor)
    yield element(key_of(e.span.version, e.span.start), timeout_ms, data=class_id)
    if not e.span.is_host and e.span.end + 1 < 1 << BITS[e.span.version]:
        yield end_element(key_of(e.span.version, e.span.end + 1))
