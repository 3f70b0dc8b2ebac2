"""Fitting what ought to be held into the room that there is. Pure.

First what costs nothing: neighbours that are dropped alike become one range. Then the weakest
decisions are left out, and counted: never silently.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from excise.decide.desired import desired_of
from excise.decide.plan import ActiveSet, Desired, Element, Measure
from excise.decide.span import Span
from excise.model.decision import Action, Decision, Origin, Tier
from excise.model.settings import Room

#: neighbours whose deadlines are this close become one range, until the earlier of them
ALIKE_S = 60.0
#: rounds of leaving out before whatever lasts shortest goes
ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Fitted:
    """What fits. `merged` entries became part of a range, `evicted` decisions were left out."""

    wish: Desired
    merged: int = 0
    evicted: int = 0

    @property
    def whole(self) -> bool:
        """Whether everything fitted as it was."""
        return not (self.merged or self.evicted)


def over_by(held: Iterable[Element], room: Room) -> tuple[int, int]:
    """Return by how many entries clients and networks exceed the room; negative: room left."""
    clients, networks = count(held)
    return clients - room.clients, networks - room.networks


def count(held: Iterable[Element]) -> tuple[int, int]:
    """Return how many entries are of clients, and how many of networks."""
    clients = networks = 0
    for element in held:
        if is_client(element.span):
            clients += 1
        else:
            networks += 1
    return clients, networks


def is_client(span: Span) -> bool:
    """Whether it is a single address or a v6 /64: what is looked up by hash."""
    return span.is_host or span.is_slash64


def fit(
    targets: Mapping[Span, Decision],
    tiers: Sequence[Tier],
    protected: Sequence[str],
    now: float,
    room: Room,
) -> Fitted:
    """Return what ought to be held at `now`, as far as there is room. Arguments as `desired_of`."""
    wish = desired_of(targets.items(), tiers, protected, now)
    if max(over_by(wish, room)) <= 0:
        return Fitted(wish)
    kept = dict(targets)
    by_strength = sorted((d for d in kept.items() if d[1].until > now), key=_strength)
    for _ in range(ROUNDS):
        narrow, merged = _merge(wish, room)
        over = over_by(narrow, room)
        if max(over) <= 0:
            return Fitted(narrow, merged, len(targets) - len(kept))
        by_strength = _leave_out(kept, by_strength, over)
        wish = desired_of(kept.items(), tiers, protected, now)
    narrow, merged = _merge(wish, room)
    cut, lost = _cut(narrow, room)
    return Fitted(cut, merged, len(targets) - len(kept) + lost)


def _strength(item: tuple[Span, Decision]) -> tuple[bool, bool, bool, float, float]:
    """Order of decisions: an operator's over a rule's, drops over throttles, then the score."""
    d = item[1]
    return d.forced, d.origin is Origin.OPERATOR, d.action is Action.DROP, d.score, d.until


def _leave_out(
    kept: dict[Span, Decision], weakest: list[tuple[Span, Decision]], over: tuple[int, int]
) -> list[tuple[Span, Decision]]:
    """Take the weakest of each kind out of `kept`, as many as are over; return the others."""
    left = {True: max(0, over[0]), False: max(0, over[1])}
    rest = []
    for item in weakest:
        kind = is_client(item[0])
        if left[kind]:
            left[kind] -= 1
            del kept[item[0]]
        else:
            rest.append(item)
    return rest


def _merge(wish: Desired, room: Room) -> tuple[Desired, int]:
    """Make one range of neighbours that are dropped alike, the longest runs of clients first."""
    drops = wish.held[Measure.DROP]
    networks = sorted((e for e in drops.values() if not is_client(e.span)), key=_address)
    clients = sorted((e for e in drops.values() if is_client(e.span)), key=_address)
    ranges = [_range(run) for run in _runs(networks)]
    over_clients, over_networks = over_by(wish, room)
    free = len(networks) - len(ranges) - over_networks
    single = {e.span: e for e in clients}
    for run in sorted(_runs(clients), key=len, reverse=True):
        if over_clients <= 0 or free <= 0 or len(run) == 1:
            break
        ranges.append(_range(run))
        for element in run:
            del single[element.span]
        over_clients, free = over_clients - len(run), free - 1
    held = {e.span: e for e in ranges} | single
    return ActiveSet({**wish.held, Measure.DROP: held}), len(drops) - len(held)


def _address(element: Element) -> tuple[int, int]:
    return element.span.version, element.span.start


def _runs(elements: Sequence[Element]) -> Iterator[list[Element]]:
    """Yield runs of elements, in order of address, without a gap and with like deadlines."""
    run: list[Element] = []
    for element in elements:
        span = element.span
        if run and (
            run[-1].span.version != span.version
            or run[-1].span.end + 1 != span.start
            or abs(run[0].until - element.until) > ALIKE_S
        ):
            yield run
            run = []
        run.append(element)
    if run:
        yield run


def _range(run: Sequence[Element]) -> Element:
    first, last = run[0].span, run[-1].span
    span = Span(first.version, first.start, last.end)
    return Element(Measure.DROP, span, 0, min(element.until for element in run))


def _cut(wish: Desired, room: Room) -> tuple[Desired, int]:
    """Leave out what lasts shortest, of each kind, until it fits: one decision has many pieces."""
    left = {True: room.clients, False: room.networks}
    held: dict[Measure, dict[Span, Element]] = {measure: {} for measure in Measure}
    lost = 0
    for element in sorted(wish, key=lambda e: (e.measure is not Measure.DROP, -e.until)):
        kind = is_client(element.span)
        if left[kind] > 0:
            left[kind] -= 1
            held[element.measure][element.span] = element
        else:
            lost += 1
    return ActiveSet(held), lost
