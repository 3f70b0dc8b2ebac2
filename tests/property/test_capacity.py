"""Fitting into the room there is: what is left out, and what never happens."""

from hypothesis import given
from hypothesis import strategies as st

from excise.decide.capacity import count, fit
from excise.decide.desired import desired_of
from excise.decide.plan import Element, Measure
from excise.decide.span import Span, parse_span
from excise.model.decision import Action, Decision, Origin, Plane
from excise.model.settings import DEFAULT_TIERS, Room

NOW = 100.0
TARGETS = [
    *(f"192.0.2.{n}/32" for n in range(12)),
    *(f"198.51.100.{n * 16}/28" for n in range(8)),
    *(f"2001:db8:0:{n}::/64" for n in range(6)),
    "198.51.100.0/25",
    "2001:db8:1::/48",
]
PROTECTED = ("198.51.100.20/32",)


@st.composite
def asked(draw):
    targets = draw(st.lists(st.sampled_from(TARGETS), unique=True, max_size=len(TARGETS)))
    return {parse_span(target): draw(decisions(target)) for target in targets}


@st.composite
def decisions(draw, target):
    action = draw(st.sampled_from([Action.DROP, Action.DROP, Action.THROTTLE]))
    return Decision(
        id=target,
        plane=Plane.NETWORK,
        target=target,
        action=action,
        tier="crawl" if action is Action.THROTTLE else None,
        since=0.0,
        until=NOW + draw(st.sampled_from([-10.0, 300.0, 330.0, 2000.0])),
        score=float(draw(st.integers(40, 90))),
        rules=(),
        reason="",
        origin=draw(st.sampled_from([Origin.RULES, Origin.RULES, Origin.OPERATOR])),
    )


rooms = st.builds(Room, clients=st.integers(0, 20), networks=st.integers(0, 10))


def covered(wish):
    """Return {(measure, address): latest end} of a few addresses of each target."""
    out = {}
    for e in wish:
        for target in TARGETS:
            span = parse_span(target)
            for address in {span.start, span.end, span.start + 4}:
                if e.span.covers(Span(span.version, address, address)):
                    where = e.measure, span.version, address
                    out[where] = max(e.until, out.get(where, 0.0))
    return out


def fitted(targets, room):
    return fit(targets, DEFAULT_TIERS, PROTECTED, NOW, room)


@given(asked(), rooms)
def test_what_fits_is_never_more_than_there_is_room_for(targets, room):
    clients, networks = count(fitted(targets, room).wish)
    assert clients <= room.clients
    assert networks <= room.networks


@given(asked())
def test_with_room_for_all_it_is_what_is_desired(targets):
    found = fitted(targets, Room())
    assert desired_of(targets.items(), DEFAULT_TIERS, PROTECTED, NOW) == found.wish
    assert found.whole


def asked_until(targets, where):
    """Return the latest end that a decision asked for where (a measure at an address).

    Any decision answers for a throttle, which is left out where a drop lasts longer; only a
    drop answers for a drop.
    """
    measure, version, address = where
    here = Span(version, address, address)
    ends = [
        decision.until
        for span, decision in targets.items()
        if span.covers(here) and (measure is not Measure.DROP or decision.action is Action.DROP)
    ]
    return max(ends, default=0.0)


@given(asked(), rooms)
def test_nothing_is_covered_that_was_not_asked_for_nor_longer(targets, room):
    for where, until in covered(fitted(targets, room).wish).items():
        assert until <= asked_until(targets, where)


@given(asked(), rooms)
def test_what_is_left_out_is_counted(targets, room):
    found = fitted(targets, room)
    alive = {s: d for s, d in targets.items() if d.until > NOW}
    wanted = covered(desired_of(alive.items(), DEFAULT_TIERS, PROTECTED, NOW))
    if covered(found.wish).keys() != wanted.keys():
        assert found.evicted > 0


@given(st.permutations(range(40, 60)), st.integers(1, 20))
def test_the_weakest_go_first(scores, clients):
    targets = {}
    for n, score in enumerate(scores):
        target = f"192.0.2.{n * 2}/32"
        targets[parse_span(target)] = Decision(
            id=target,
            plane=Plane.NETWORK,
            target=target,
            action=Action.DROP,
            tier=None,
            since=0.0,
            until=NOW + 60,
            score=float(score),
            rules=(),
            reason="",
        )
    found = fitted(targets, Room(clients=clients, networks=0))

    kept = sorted(targets[e.span].score for e in found.wish)
    assert sorted(map(float, scores))[-clients:] == kept
    assert found.evicted == len(scores) - clients


def test_neighbours_become_a_range_before_anything_is_left_out():
    targets = {
        parse_span(f"192.0.2.{n}"): Decision(
            id=str(n),
            plane=Plane.NETWORK,
            target=f"192.0.2.{n}/32",
            action=Action.DROP,
            tier=None,
            since=0.0,
            until=NOW + 600 + n,
            score=70.0,
            rules=(),
            reason="",
        )
        for n in (1, 2, 3, 4, 9)
    }
    found = fitted(targets, Room(clients=2, networks=1))

    run = Span(4, parse_span("192.0.2.1").start, parse_span("192.0.2.4").start)
    alone = parse_span("192.0.2.9")
    assert {
        run: Element(Measure.DROP, run, 0, NOW + 601),
        alone: Element(Measure.DROP, alone, 0, NOW + 609),
    } == found.wish.held[Measure.DROP]
    assert (found.merged, found.evicted) == (3, 0)
