"""The ladder, the guard, the governor, scores and collateral, each on its own."""

import ipaddress

import pytest

from excise.decide.collateral import Party, behind
from excise.decide.governor import Brake
from excise.decide.guard import Guard, overlaps, parse_network, within
from excise.decide.ladder import MILDEST, Ladder
from excise.decide.operate import target_of
from excise.decide.score import Dossier, Evidence, weigh
from excise.decide.words import number
from excise.errors import InvalidError
from excise.model.decision import Plane, Posture, Tier
from excise.model.entity import Family, Kind
from excise.model.settings import Governor, Policy
from excise.rules.schema import Maturity, Rule

POLICY = Policy(
    observe=20.0,
    throttle=40.0,
    drop=60.0,
    drop_families=2,
    ttl_observe_s=100.0,
    ttl_throttle_s=200.0,
    ttl_drop_s=300.0,
    ttl_max_s=1000.0,
)
LADDER = Ladder(POLICY, (Tier("slow"), Tier("crawl")))
BARE = Ladder(POLICY, ())
TOP = MILDEST + 2


@pytest.mark.parametrize(
    ("score", "families", "rung"),
    [
        (0, 0, 0),
        (19.9, 1, 0),
        (20, 1, 1),
        (40, 1, 2),
        (50, 1, 3),
        (60, 1, 3),
        (60, 2, 4),
        (99, 3, 4),
    ],
)
def test_rungs_begin_at_their_thresholds_and_a_drop_takes_families(score, families, rung):
    assert rung == LADDER.rung(score, families)


@pytest.mark.parametrize(
    ("rung", "plane", "posture", "expected"),
    [
        (1, Plane.NETWORK, Posture.ENFORCE, ("observe", None)),
        (2, Plane.NETWORK, Posture.ENFORCE, ("throttle", "slow")),
        (3, Plane.ACCOUNT, Posture.THROTTLE, ("throttle", "crawl")),
        (TOP, Plane.NETWORK, Posture.ENFORCE, ("drop", None)),
        (TOP, Plane.ACCOUNT, Posture.ENFORCE, ("deny", None)),
        (TOP, Plane.ACCOUNT, Posture.THROTTLE, ("throttle", "crawl")),
        (TOP, Plane.NETWORK, Posture.OBSERVE, ("observe", None)),
    ],
)
def test_a_posture_bounds_what_a_rung_does(rung, plane, posture, expected):
    action, tier = LADDER.action(rung, plane, posture)
    assert expected == (action.value, tier)


@pytest.mark.parametrize(
    ("rung", "strikes", "ttl_s"),
    [
        (1, 0, 100),
        (1, 5, 100),
        (2, 0, 200),
        (2, 1, 400),
        (TOP, 1, 600),
        (TOP, 2, 1000),
        (2, 99, 1000),
    ],
)
def test_time_to_live_doubles_with_each_strike_up_to_the_most(rung, strikes, ttl_s):
    assert ttl_s == LADDER.ttl_s(rung, strikes)


def test_what_is_decided_together_ends_apart_and_never_later_than_its_time():
    ladder = Ladder(Policy(ttl_drop_s=1000.0, jitter=0.1), LADDER.tiers)
    ends = {ladder.lasts_s(TOP, 0, f"192.0.2.{n}/32") for n in range(200)}

    assert len(ends) == 200
    assert 900.0 <= min(ends) < 905.0
    assert 995.0 < max(ends) <= 1000.0
    assert ladder.ttl_s(1, 0) == ladder.lasts_s(1, 0, "192.0.2.1/32")


def test_thresholds_never_fall_from_rung_to_rung():
    steps = [LADDER.threshold(r) for r in range(LADDER.top + 1)]
    assert sorted(steps) == steps
    assert MILDEST == BARE.top


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("203.0.113.0/24", "203.0.113.7", True),
        ("203.0.113.7", "203.0.113.0/24", True),
        ("203.0.113.7", "203.0.113.8", False),
        ("2001:db8::/32", "2001:db8:1::/48", True),
        ("0.0.0.0/0", "::/0", False),
    ],
)
def test_networks_overlap_within_their_family_alone(one, other, shared):
    assert shared == overlaps(parse_network(one), parse_network(other))


def test_within_is_one_way():
    wide, narrow = parse_network("203.0.113.0/24"), parse_network("203.0.113.7")
    assert (True, False) == (within(narrow, wide), within(wide, narrow))


@pytest.mark.parametrize("text", ["", "somebody", "203.0.113.0/33", "2001:db8::/129"])
def test_what_is_no_network_is_invalid(text):
    with pytest.raises(InvalidError):
        parse_network(text)


def test_loopback_is_safe_without_being_told():
    guard = Guard((), ())
    assert "loopback" == guard.covering(parse_network("127.0.0.1"), 0.0).origin
    assert guard.covering(parse_network("::/0"), 0.0)
    assert guard.covering(parse_network("192.0.2.1"), 0.0) is None


def test_an_allowance_ends_at_its_time():
    guard = Guard((), ())
    net = ipaddress.ip_network("192.0.2.0/24")
    guard.allow(net, 100.0)
    assert guard.covering(net, 99.9)
    assert guard.covering(net, 100.0) is None
    assert not guard.disallow(net)


def test_the_brake_looks_back_one_minute_and_stays_tripped_until_rearmed():
    brake = Brake(Governor(max_new_per_min=2, free=1000, max_share=0.5))
    for now in (0.0, 30.0):
        assert "" == brake.check(now, 0, 0)
        brake.count(now)
    assert "" == brake.check(60.0, 0, 0)
    brake.count(60.0)
    assert brake.check(61.0, 0, 0)
    assert brake.tripped
    brake.rearm()
    assert "" == brake.check(61.0, 0, 0)


@pytest.mark.parametrize(
    ("enforced", "active", "trips"),
    [(9, 10, False), (10, 10, True), (10, 40, False), (20, 40, True)],
)
def test_the_share_counts_past_the_free_ones(enforced, active, trips):
    brake = Brake(Governor(max_new_per_min=100, free=10, max_share=0.5))
    assert trips == bool(brake.check(0.0, enforced, active))


def evidence(family, weight, fired=0.0, **changes):
    rule = Rule(
        **{
            "id": f"{family}.{weight}",
            "about": "",
            "family": Family(family),
            "kind": Kind.CLIENT,
            "when": (),
            "weight": weight,
            "half_life_s": 100.0,
            "maturity": Maturity.STABLE,
            "hits_also": "",
        }
        | changes
    )
    return Evidence(rule, fired, ())


def dossier(*items):
    return Dossier({e.rule.id: e for e in items})


def test_points_halve_every_half_life_and_never_exceed_the_weight():
    one = evidence("volume", 40.0, fired=50.0)
    assert [40.0, 40.0, 20.0, 10.0] == [one.points(now) for now in (0.0, 50.0, 150.0, 250.0)]


def test_a_family_adds_up_to_its_cap_and_families_add_up():
    held = dossier(evidence("volume", 30.0), evidence("volume", 20.0), evidence("shape", 15.0))
    score = weigh([(held, 1.0)], 0.0, 39.0)
    assert (54.0, 2) == (score.total, score.families)


def test_the_strongest_counts_of_what_stands_behind_the_same_requests():
    parts = [(dossier(evidence("volume", 30.0)), 0.5), (dossier(evidence("volume", 20.0)), 1.0)]
    assert 20.0 == weigh(parts, 0.0, 39.0).total


def test_experimental_evidence_is_a_hint_alone():
    held = dossier(evidence("volume", 30.0, maturity=Maturity.EXPERIMENTAL))
    score = weigh([(held, 1.0)], 0.0, 39.0)
    assert (0.0, 30.0) == (score.total, score.hint)


def test_faded_evidence_is_forgotten():
    held = dossier(evidence("volume", 30.0))
    assert not held.prune(100.0)
    assert held.prune(1000.0)


def parties(*output, guilty=()):
    return [Party(i, o, i in guilty) for i, o in enumerate(output)]


def test_an_accused_clients_heaviest_accounts_answer_for_it():
    found = behind(parties(900.0, 30.0, 30.0, 30.0, 10.0), accused=True)
    assert (0,) == found.culprits
    assert 4 == found.honest
    assert (pytest.approx(0.1), 0.8) == (found.honest_tokens, found.share)


def test_a_client_that_is_not_accused_has_only_guilty_culprits():
    found = behind(parties(900.0, 100.0, guilty=(1,)), accused=False)
    assert ((1,), 0.9) == (found.culprits, found.share)


@pytest.mark.parametrize("accused", [True, False])
def test_nobody_stands_behind_a_client_whose_links_are_forgotten(accused):
    assert 0.0 == behind([], accused=accused).share


@pytest.mark.parametrize(
    ("text", "plane", "target"),
    [
        (" 203.0.113.7 ", Plane.NETWORK, "203.0.113.7/32"),
        ("203.0.113.7/24", Plane.NETWORK, "203.0.113.0/24"),
        ("2001:DB8::1/64", Plane.NETWORK, "2001:db8::/64"),
        ("acct-1", Plane.ACCOUNT, "acct-1"),
    ],
)
def test_an_operators_target_is_a_network_or_else_an_account(text, plane, target):
    assert (plane, target) == target_of(text)


@pytest.mark.parametrize(
    ("value", "text"), [(1234.4, "1,234"), (0.516, "0.52"), (5.0, "5"), (99.5, "99.50")]
)
def test_numbers_are_written_as_people_read_them(value, text):
    assert text == number(value)
