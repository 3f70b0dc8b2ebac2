"""The algebra of `plan`, against a brute-force model that looks at every address on its own."""

from ipaddress import ip_network
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from excise.decide.desired import desired
from excise.decide.plan import ActiveSet, ChangeSet, Element, Measure, gather, plan
from excise.decide.span import Span, parse_span
from excise.model.decision import Action, Decision, Plane, Tier

TIERS = (
    Tier("slow", egress_bytes_s=4000, ingress_bytes_s=2000),
    Tier("crawl", egress_bytes_s=500, new_connections_per_min=6.0),
)
RATES = {
    "slow": {Measure.EGRESS: 4000, Measure.INGRESS: 2000},
    "crawl": {Measure.EGRESS: 500, Measure.CONNECTIONS: 360},
}
# two blocks of 16 addresses, the second at the end of the address space
V4 = [ip_network("203.0.113.0/28"), ip_network("255.255.255.240/28")]
V6 = [ip_network("2001:db8::/124")]
ADDRESSES = [(4, int(a)) for net in V4 for a in net] + [(6, int(a)) for net in V6 for a in net]
NETWORKS = [
    str(sub)
    for top in [*V4, *V6]
    for length in range(top.prefixlen, top.max_prefixlen + 1)
    for sub in top.subnets(new_prefix=length)
]


@st.composite
def decisions(draw, plane=Plane.NETWORK):
    action = draw(st.sampled_from([Action.DROP, Action.THROTTLE, Action.OBSERVE]))
    return Decision(
        id=draw(st.text("abc", max_size=3)),
        plane=plane,
        target=draw(st.sampled_from(NETWORKS)),
        action=action,
        tier=draw(st.sampled_from(["slow", "crawl"])) if action is Action.THROTTLE else None,
        since=0.0,
        until=float(draw(st.integers(1, 6)) * 100),
        score=50.0,
        rules=(),
        reason="",
    )


many = st.lists(decisions(), max_size=12)
walls = st.lists(st.sampled_from(NETWORKS), max_size=3)
times = st.sampled_from([0.0, 100.0, 250.0, 400.0])


def covers(target, version, address):
    return parse_span(target).covers(Span(version, address, address))


def model(asked, protected, now):
    """The strictest rate by (version, address, measure), one address at a time."""
    out = {}
    for version, address in ADDRESSES:
        if any(covers(wall, version, address) for wall in protected):
            continue
        for d in asked:
            if not covers(d.target, version, address) or d.until <= now:
                continue
            rates = {Measure.DROP: 0} if d.action is Action.DROP else RATES.get(d.tier, {})
            for measure, rate in rates.items():
                where = version, address, measure
                out[where] = min(rate, out.get(where, rate))
    return out


def effect(held, now):
    """What the kernel does with `held` at `now`: every set that matches has its say."""
    out = {}
    for e in held.alive(now):
        for version, address in ADDRESSES:
            if e.span.covers(Span(version, address, address)):
                where = version, address, e.measure
                out[where] = min(e.rate, out.get(where, e.rate))
    return out


def felt(rates):
    """Rates without those throttles that a drop makes moot."""
    return {
        k: r
        for k, r in rates.items()
        if k[2] is Measure.DROP or (*k[:2], Measure.DROP) not in rates
    }


@given(many, walls, times)
def test_every_address_feels_the_strictest_of_what_covers_it(asked, protected, now):
    assert felt(model(asked, protected, now)) == felt(
        effect(desired(asked, TIERS, protected, now), now)
    )


@given(many, walls, times)
def test_nothing_is_covered_that_no_decision_covers_nor_longer(asked, protected, now):
    held = desired(asked, TIERS, protected, now)
    for later in (now, now + 100.0, now + 300.0):
        assert effect(held, later).keys() <= model(asked, protected, later).keys()


@given(many, walls, times)
def test_drops_hold_to_their_end_without_the_daemon(asked, protected, now):
    held = desired(asked, TIERS, protected, now)
    for later in (now, now + 100.0, now + 300.0):
        expected = {k for k in model(asked, protected, later) if k[2] is Measure.DROP}
        assert expected == {k for k in effect(held, later) if k[2] is Measure.DROP}


@given(many, walls, times)
def test_nothing_protected_is_ever_covered(asked, protected, now):
    for e in desired(asked, TIERS, protected, now):
        for wall in map(parse_span, protected):
            assert (
                wall.version != e.span.version or e.span.end < wall.start or wall.end < e.span.start
            )


@given(many, walls, times)
def test_networks_of_one_measure_never_overlap(asked, protected, now):
    held = desired(asked, TIERS, protected, now)
    for spans in held.held.values():
        networks = sorted(s for s in spans if not s.is_host)
        for a, b in pairwise(networks):
            assert a.version != b.version or a.end < b.start


@given(many, walls, times, st.randoms(use_true_random=False))
def test_the_order_of_decisions_does_not_matter(asked, protected, now, random):
    shuffled, reordered = list(asked), list(protected)
    random.shuffle(shuffled)
    random.shuffle(reordered)
    assert desired(asked, TIERS, protected, now) == desired(shuffled, TIERS, reordered, now)


@given(many, many, times)
def test_a_plan_done_gives_what_was_wished(before, after, now):
    have, want = desired(before, TIERS, (), now), desired(after, TIERS, (), now)
    assert want == plan(want, have).onto(have)


@given(many, times)
def test_a_plan_against_itself_is_empty(asked, now):
    held = desired(asked, TIERS, (), now)
    assert ChangeSet() == plan(held, held)
    assert plan(held, held).is_empty


@given(many, many, times)
def test_a_plan_is_minimal(before, after, now):
    have, want = desired(before, TIERS, (), now), desired(after, TIERS, (), now)
    change = plan(want, have)
    for e in change.removals:
        assert want.held[e.measure].get(e.span) is None or (
            want.held[e.measure][e.span].rate != e.rate
        )
    for e in change.additions:
        assert have.held[e.measure].get(e.span) != e


@given(many, st.floats(-1.9, 1.9))
def test_deadlines_within_the_tolerance_are_no_change(asked, drift):
    held = desired(asked, TIERS, (), 0.0)
    drifted = gather(Element(e.measure, e.span, e.rate, e.until + drift) for e in held)
    assert plan(held, drifted).is_empty


@given(many, decisions(), walls, times)
def test_one_more_decision_never_loosens_anything(asked, more, protected, now):
    before = effect(desired(asked, TIERS, protected, now), now)
    after = effect(desired([*asked, more], TIERS, protected, now), now)
    for (version, address, measure), rate in felt(before).items():
        dropped = (version, address, Measure.DROP) in after
        assert dropped or after[version, address, measure] <= rate


@given(st.lists(decisions(plane=Plane.ACCOUNT), max_size=5))
def test_the_account_plane_never_reaches_the_kernel(asked):
    assert ActiveSet() == desired(asked, TIERS, (), 0.0)
