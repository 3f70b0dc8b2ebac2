"""What the kernel ought to hold. Pure.

The algebra has one law: every address gets the strictest of what the decisions that cover it
ask for, so adding a decision never loosens anything. A subnet under a throttle stays one span,
hence one bucket; it is cut only where a narrower decision is stricter. What is covered by
something at least as strict that lasts at least as long is left out, and comes back when that
lapses, since `desired` is computed afresh.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from itertools import pairwise

from excise.decide.plan import ActiveSet, Desired, Element, Measure
from excise.decide.span import BITS, Span, parse_span
from excise.model.decision import Action, Decision, Plane, Tier


def desired(
    decisions: Iterable[Decision], tiers: Sequence[Tier], protected: Iterable[str], now: float
) -> Desired:
    """Return what the kernel ought to hold at `now` (epoch seconds).

    `tiers` is the ladder, mildest first; a decision whose tier is no longer in it counts as the
    mildest. Nothing within `protected` (addresses or CIDRs) is ever covered. Raises ValueError
    for a target or a protected network that is no CIDR.
    """
    targets = ((parse_span(d.target), d) for d in decisions if d.plane is Plane.NETWORK)
    return desired_of(targets, tiers, protected, now)


def desired_of(
    targets: Iterable[tuple[Span, Decision]],
    tiers: Sequence[Tier],
    protected: Iterable[str],
    now: float,
) -> Desired:
    """As `desired`, for decisions on the network plane whose targets are known as spans."""
    walls = _disjoint([_wall(parse_span(text)) for text in protected], _longest)
    wishes = _wishes(targets, tiers, now)
    drops = _settle(wishes[Measure.DROP], walls, _longest)
    dropped = _Cover(drops.values())
    held = {Measure.DROP: drops}
    for measure in (Measure.EGRESS, Measure.INGRESS, Measure.CONNECTIONS):
        settled = _settle(wishes[measure], walls, _strictest)
        held[measure] = {s: e for s, e in settled.items() if not dropped.outlasts(e)}
    return ActiveSet(held)


def _wishes(
    targets: Iterable[tuple[Span, Decision]], tiers: Sequence[Tier], now: float
) -> dict[Measure, dict[Span, Element]]:
    """Return the strictest that is asked for each span by name."""
    wishes: dict[Measure, dict[Span, Element]] = {measure: {} for measure in Measure}
    ladder = {tier.name: tier for tier in tiers}
    known: dict[tuple[Action, str | None], list[tuple[Measure, int]]] = {}
    for span, decision in targets:
        if decision.until <= now:
            continue
        asked = decision.action, decision.tier
        if asked not in known:
            known[asked] = _measures(decision, ladder, tiers)
        for measure, rate in known[asked]:
            _keep_stricter(wishes[measure], Element(measure, span, rate, decision.until))
    return wishes


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
        if not self._networks:
            return False
        at = bisect_right(self._starts, (element.span.version, element.span.start)) - 1
        if at < 0 or not self._networks[at].span.covers(element.span):
            return False
        return _beats(self._networks[at], element)


def _beats(one: Element, other: Element) -> bool:
    return one.rate <= other.rate and one.until >= other.until
