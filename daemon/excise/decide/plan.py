"""What the kernel ought to hold, and the least change that makes it so. Pure.

The algebra has one law: every address gets the strictest of what the decisions that cover it
ask for, so adding a decision never loosens anything. A subnet under a throttle stays one span,
hence one bucket; it is cut only where a narrower decision is stricter. What is covered by
something at least as strict that lasts at least as long is left out, and comes back when that
lapses, since `desired` is computed afresh.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from heapq import heappop, heappush
from ipaddress import IPv4Address, IPv6Address, ip_network, summarize_address_range
from itertools import pairwise

import msgspec

from excise.model.decision import Action, Decision, Plane, Tier

#: deadlines closer than this are the same: the kernel counts in jiffies, we in round trips
TOLERANCE_S = 2.0
BITS = {4: 32, 6: 128}


class Measure(StrEnum):
    """What the kernel does to a span. The unit of its rate stands beside it."""

    DROP = "drop"  # always 0
    EGRESS = "egress"  # bytes/s towards the span
    INGRESS = "ingress"  # bytes/s from the span
    CONNECTIONS = "connections"  # new TCP connections per hour from the span


class Span(msgspec.Struct, frozen=True, order=True, gc=False):
    """Addresses `start` to `end`, both included, as integers of IP `version` 4 or 6."""

    version: int
    start: int
    end: int

    @property
    def is_host(self) -> bool:
        """Whether it is a single address."""
        return self.start == self.end

    def covers(self, other: Span) -> bool:
        """Whether every address of `other` lies within."""
        return self.version == other.version and self.start <= other.start and other.end <= self.end

    def __str__(self) -> str:
        kind = IPv4Address if self.version == 4 else IPv6Address
        first, last = kind(self.start), kind(self.end)
        nets = list(summarize_address_range(first, last))
        return str(nets[0]) if len(nets) == 1 else f"{first}-{last}"


class Element(msgspec.Struct, frozen=True, order=True, gc=False):
    """One entry of a kernel set: `rate` in the unit of `measure`, until epoch seconds."""

    measure: Measure
    span: Span
    rate: int
    until: float


def _nothing() -> Mapping[Measure, Mapping[Span, Element]]:
    return {measure: {} for measure in Measure}


@dataclass(frozen=True, slots=True)
class ActiveSet:
    """Elements by measure and span; spans of one measure that are no hosts are disjoint."""

    held: Mapping[Measure, Mapping[Span, Element]] = field(default_factory=_nothing)

    def __iter__(self) -> Iterator[Element]:
        for spans in self.held.values():
            yield from spans.values()

    def __len__(self) -> int:
        return sum(len(spans) for spans in self.held.values())

    def alive(self, now: float) -> ActiveSet:
        """Return what has not lapsed at `now`."""
        return gather(e for e in self if e.until > now)


#: the same shape: one is wished for, the other is
Desired = ActiveSet


def gather(elements: Iterable[Element]) -> ActiveSet:
    """Build a set of elements; of two for the same measure and span the later one stays."""
    held: dict[Measure, dict[Span, Element]] = {measure: {} for measure in Measure}
    for element in elements:
        held[element.measure][element.span] = element
    return ActiveSet(held)


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """Removals, to be done first, and additions.

    An addition of what is held renews its deadline; a changed rate is a removal and an addition
    of the same span.
    """

    removals: tuple[Element, ...] = ()
    additions: tuple[Element, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.removals and not self.additions

    def __len__(self) -> int:
        return len(self.removals) + len(self.additions)

    def onto(self, active: ActiveSet) -> ActiveSet:
        """Return `active` with this change done to it."""
        held = {measure: dict(spans) for measure, spans in active.held.items()}
        for element in self.removals:
            held[element.measure].pop(element.span, None)
        for element in self.additions:
            held[element.measure][element.span] = element
        return ActiveSet(held)


def plan(wish: Desired, active: ActiveSet, tolerance_s: float = TOLERANCE_S) -> ChangeSet:
    """Return the least change that turns `active` into `wish`, in order of address."""
    removals: list[Element] = []
    additions: list[Element] = []
    for measure in Measure:
        want, have = wish.held[measure], active.held[measure]
        for span, element in have.items():
            wanted = want.get(span)
            if wanted is None or wanted.rate != element.rate:
                removals.append(element)
        for span, element in want.items():
            held = have.get(span)
            if (
                held is None
                or held.rate != element.rate
                or abs(held.until - element.until) > tolerance_s
            ):
                additions.append(element)
    return ChangeSet(tuple(sorted(removals)), tuple(sorted(additions)))


def desired(
    decisions: Iterable[Decision], tiers: Sequence[Tier], protected: Iterable[str], now: float
) -> Desired:
    """Return what the kernel ought to hold at `now` (epoch seconds).

    `tiers` is the ladder, mildest first; a decision whose tier is no longer in it counts as the
    mildest. Nothing within `protected` (addresses or CIDRs) is ever covered. Raises ValueError
    for a target or a protected network that is no CIDR.
    """
    walls = _disjoint([_wall(parse_span(text)) for text in protected], _longest)
    wishes: dict[Measure, dict[Span, Element]] = {measure: {} for measure in Measure}
    ladder = {tier.name: tier for tier in tiers}
    for decision in decisions:
        if decision.plane is not Plane.NETWORK or decision.until <= now:
            continue
        rates = _measures(decision, ladder, tiers)
        if not rates:
            continue
        span = parse_span(decision.target)
        for measure, rate in rates:
            _keep_stricter(wishes[measure], Element(measure, span, rate, decision.until))
    drops = _settle(wishes[Measure.DROP], walls, _longest)
    dropped = _Cover(drops.values())
    held = {Measure.DROP: drops}
    for measure in (Measure.EGRESS, Measure.INGRESS, Measure.CONNECTIONS):
        settled = _settle(wishes[measure], walls, _strictest)
        held[measure] = {s: e for s, e in settled.items() if not dropped.outlasts(e)}
    return ActiveSet(held)


def parse_span(text: str) -> Span:
    """Return the span of an address or a CIDR in text; host bits are ignored."""
    address, slash, prefix = text.partition("/")
    if prefix == "32" and ":" not in address:
        start = int(IPv4Address(address))
        return Span(4, start, start)
    if not slash and ":" not in address:
        start = int(IPv4Address(address))
        return Span(4, start, start)
    network = ip_network(text, strict=False)
    return Span(network.version, int(network.network_address), int(network.broadcast_address))


def merged(texts: Iterable[str]) -> list[Span]:
    """Return disjoint spans, in order, that cover exactly the networks in text."""
    out: list[Span] = []
    for span in sorted(map(parse_span, texts)):
        last = out[-1] if out else None
        if last and last.version == span.version and span.start <= last.end + 1:
            out[-1] = Span(span.version, last.start, max(last.end, span.end))
        else:
            out.append(span)
    return out


def _measures(
    decision: Decision, ladder: Mapping[str, Tier], tiers: Sequence[Tier]
) -> list[tuple[Measure, int]]:
    if decision.action is Action.DROP:
        return [(Measure.DROP, 0)]
    if decision.action is not Action.THROTTLE or not tiers:
        return []
    tier = ladder.get(decision.tier or "", tiers[0])
    per_min = tier.new_connections_per_min
    rates = (
        (Measure.EGRESS, tier.egress_bytes_s),
        (Measure.INGRESS, tier.ingress_bytes_s),
        (Measure.CONNECTIONS, None if per_min is None else round(per_min * 60)),
    )
    # the kernel has no rate 0, and refuses it
    return [(measure, max(1, rate)) for measure, rate in rates if rate is not None]


Strength = Callable[[Element], tuple[float, ...]]


def _longest(e: Element) -> tuple[float, ...]:
    """Order of drops: the longest lasting first, of equals the widest, so fewest cuts."""
    return (e.rate, -e.until, e.span.start - e.span.end)


def _strictest(e: Element) -> tuple[float, ...]:
    """Order of throttles: of equal rates the widest, whose one bucket serves them all."""
    return (e.rate, e.span.start - e.span.end, -e.until)


def _wall(span: Span) -> Element:
    """Return what beats every element in the sweep, and is itself left out."""
    return Element(Measure.DROP, span, -1, float("inf"))


def _keep_stricter(into: dict[Span, Element], element: Element) -> None:
    held = into.get(element.span)
    if held is None or (element.rate, -element.until) < (held.rate, -held.until):
        into[element.span] = element


def _settle(
    wishes: Mapping[Span, Element], walls: Sequence[Element], strength: Strength
) -> dict[Span, Element]:
    """Make networks disjoint, cut what is protected, leave out hosts that gain nothing."""
    networks = [e for span, e in wishes.items() if not span.is_host]
    pieces = [e for e in _disjoint([*networks, *walls], strength) if e.rate >= 0]
    covered, protected = _Cover(pieces), _Cover(walls)
    settled = {e.span: e for e in pieces}
    for span, element in wishes.items():
        if span.is_host and not protected.outlasts(element) and not covered.outlasts(element):
            _keep_stricter(settled, element)
    return settled


def _disjoint(elements: Sequence[Element], strength: Strength) -> list[Element]:
    """Sweep over the address space: each address goes to the strongest element there."""
    return [piece for version in BITS for piece in _sweep(elements, version, strength)]


def _sweep(elements: Sequence[Element], version: int, strength: Strength) -> Iterator[Element]:
    starting = sorted(
        (e for e in elements if e.span.version == version), key=lambda e: e.span.start
    )
    edges = {e.span.start for e in starting} | {e.span.end + 1 for e in starting}
    here: list[tuple[tuple[float, ...], int, Element]] = []
    piece: tuple[Element, int, int] | None = None
    taken = 0
    for at, next_edge in pairwise(sorted(edges)):
        while taken < len(starting) and starting[taken].span.start == at:
            heappush(here, (strength(starting[taken]), taken, starting[taken]))
            taken += 1
        while here and here[0][2].span.end < at:
            heappop(here)
        winner = here[0][2] if here else None
        if piece and piece[0] is winner:
            piece = (piece[0], piece[1], next_edge - 1)
            continue
        if piece:
            yield _cut(*piece)
        piece = (winner, at, next_edge - 1) if winner else None
    if piece:
        yield _cut(*piece)


def _cut(element: Element, start: int, end: int) -> Element:
    return Element(
        element.measure, Span(element.span.version, start, end), element.rate, element.until
    )


class _Cover:
    """Finds what covers a span, among networks that are disjoint and hosts."""

    def __init__(self, elements: Iterable[Element]) -> None:
        by_span = {e.span: e for e in elements}
        self._hosts = {s: e for s, e in by_span.items() if s.is_host}
        self._networks = [by_span[s] for s in sorted(by_span) if not s.is_host]
        self._starts = [(e.span.version, e.span.start) for e in self._networks]

    def outlasts(self, element: Element) -> bool:
        """Whether something at least as strict covers it at least as long."""
        host = self._hosts.get(element.span)
        if host is not None and _beats(host, element):
            return True
        at = bisect_right(self._starts, (element.span.version, element.span.start)) - 1
        if at < 0 or not self._networks[at].span.covers(element.span):
            return False
        return _beats(self._networks[at], element)


def _beats(one: Element, other: Element) -> bool:
    return one.rate <= other.rate and one.until >= other.until
