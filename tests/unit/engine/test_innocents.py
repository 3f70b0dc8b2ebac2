"""Who is spared: offices, owners of stolen keys, clients behind a proxy, networks that are safe."""

import pytest

from excise.errors import InvalidError, NotFoundError, RefusedError
from excise.model.decision import Action, DecisionEvent, Op, Posture
from excise.model.entity import Kind
from excise.model.record import Record
from excise.model.step import Allow, Disallow, Lift, Observed, Place, Protect, SetPosture
from excise.rules.schema import Exemption, Maturity

CLIENT = "203.0.113.7/32"
OFFICE = "198.51.100.1/32"


@pytest.fixture
def place():
    def make(target="203.0.113.7", action=Action.DROP, **changes):
        fields = {"tier": None, "ttl_s": 3600.0, "reason": "by hand"} | changes
        return Place(target=target, action=action, **fields)

    return make


def office(start, harvest):
    """Thirty people and one harvester behind one address, each with an account of their own."""
    one = {"client": "198.51.100.1"}
    records = []
    for i in range(40):
        records += [
            Record(ts=start + i * 10 + n * 0.1, account=f"person{n}", output_tokens=50, **one)
            for n in range(30)
        ]
        records += [
            Record(ts=start + i * 10 + 5 + n * 0.1, account="harvester", output_tokens=4000, **one)
            for n in range(harvest)
        ]
    return records


def test_an_office_with_a_harvester_inside_works_on_while_the_account_is_denied(
    engine, rule, active
):
    heavy = [rule(f"{f}.x", f, 39.0, "output_tokens_1h", 100_000.0) for f in ("volume", "shape")]
    watched = engine(*heavy)
    watched.step([Observed(office(watched.clock or 1.7e9, harvest=10))])
    decided = active(watched)
    assert "deny" == decided["harvester"]
    assert "observe" == decided[OFFICE]
    assert {"harvester", OFFICE} == set(decided)


@pytest.mark.parametrize(
    ("maturity", "expected"),
    [(Maturity.EXPERIMENTAL, pytest.approx(10 / 11, abs=1e-3)), (Maturity.STABLE, 0.0)],
)
def test_people_under_experimental_evidence_still_speak_for_their_office(
    engine, rule, maturity, expected
):
    by_use = {"kind": Kind.USE, "feature": "output_tokens_1h", "above": 50_000.0}
    heavy = [rule(f"{family}.x", family, 39.0, **by_use) for family in ("volume", "shape")]
    watched = engine(*heavy, rule("network.x", "network", 15.0, kind=Kind.USE, maturity=maturity))
    shared = {"client": "198.51.100.1", "status": 200}
    asked = [("harvester", 4000)] * 90 + [(f"person{n}", 50) for n in range(10)]
    watched.step(
        [
            Observed(
                [
                    Record(ts=1.7e9 + i * 0.1, account=name, output_tokens=output, **shared)
                    for i, (name, output) in enumerate(asked * 10)
                ]
            )
        ]
    )

    assert expected == watched.explain(OFFICE).honest_share


def test_people_do_not_answer_one_by_one_for_an_address_that_draws_much(engine, rule, active):
    heavy = [rule(f"{f}.x", f, 39.0, "output_tokens_1h", 50_000.0) for f in ("volume", "shape")]
    watched = engine(*heavy)
    crowd = [
        Record(
            ts=1.7e9 + i * 30 + n * 0.1,
            client="198.51.100.1",
            account=f"person{n}",
            output_tokens=100 + 40 * n,
        )
        for i in range(8)
        for n in range(20)
    ]
    watched.step([Observed(crowd)])

    assert {OFFICE} == {t for t, a in active(watched).items() if a != "observe"}


def test_a_thief_is_dropped_while_the_owner_of_the_key_works_on(engine, rule, ask, wait, active):
    spread = [
        rule(f"{f}.x", f, 39.0, "requests_1h", 20.0, kind=Kind.USE) for f in ("graph", "volume")
    ]
    watched = engine(*spread)
    ask(watched, "192.0.2.1", count=10, account="key", user_agent="owner/1")
    ask(watched, "203.0.113.7", count=30, account="key", user_agent="thief/1")
    ask(watched, "203.0.113.99", count=9, account="key", user_agent="thief/1")
    wait(watched, 12)
    ask(watched, "192.0.2.1", count=3, account="key", user_agent="owner/1")
    decided = active(watched)
    assert "drop" == decided["203.0.113.7/32"]
    assert "drop" == decided["203.0.113.99/32"]
    assert "192.0.2.1/32" not in decided
    assert "observe" == decided["key"]


def test_a_drop_that_has_become_doubtful_lapses_into_a_throttle_and_not_into_freedom(  # noqa: PLR0917 - fixtures come by name
    engine, rule, ask, wait, active, policy
):
    lasting = {"kind": Kind.USE, "half_life_s": 30 * 86_400.0}
    spread = [rule(f"{f}.x", f, 39.0, "requests_1h", 20.0, **lasting) for f in ("graph", "volume")]
    two_days = policy(ttl_drop_s=2 * 86_400.0, ttl_max_s=4 * 86_400.0)
    watched = engine(*spread, policy=two_days)
    ask(watched, "203.0.113.7", count=30, account="key", user_agent="thief/1")
    ask(watched, "203.0.113.99", count=9, account="key", user_agent="thief/1")
    wait(watched, 12)
    assert "drop" == active(watched)["203.0.113.99/32"]

    decided = [e for e in wait(watched, 3 * 86_400) if e.decision.target == "203.0.113.99/32"]
    found = [(e.op, e.decision.action, e.ts) for e in decided][:2]
    lapsed = found[0][2]
    assert [(Op.EXPIRE, Action.DROP, lapsed), (Op.ADD, Action.THROTTLE, lapsed)] == found


def test_an_owner_who_takes_much_is_spared_beside_a_thief(engine, rule, ask, wait, active):
    spread = [
        rule(f"{f}.x", f, 39.0, "requests_1h", 20.0, kind=Kind.USE) for f in ("graph", "shape")
    ]
    thief = {"account": "key", "user_agent": "thief/1"}
    watched = engine(*spread, rule("volume.x", "volume", 39.0, "output_tokens_1h", 10_000.0))
    ask(watched, "203.0.113.7", count=30, **thief)
    for i in range(4):
        ask(
            watched,
            "192.0.2.1",
            count=4,
            at_s=60.0 + 300.0 * i,
            account="key",
            user_agent="owner/1",
            output_tokens=3_000,
        )
        ask(watched, "203.0.113.7", count=4, at_s=100.0 + 300.0 * i, **thief)
    wait(watched, 12)
    decided = active(watched)

    assert "drop" == decided[CLIENT]
    assert "observe" == decided["192.0.2.1/32"]
    assert "observe" == decided["key"]


def test_an_owner_who_comes_back_to_a_denied_key_is_let_in_soon(  # noqa: PLR0917 - fixtures come by name
    engine, rule, ask, wait, active, policy
):
    spread = [
        rule(f"{f}.x", f, 39.0, "requests_1h", 20.0, kind=Kind.USE) for f in ("graph", "volume")
    ]
    watched = engine(*spread, policy=policy(ttl_drop_s=7200.0, ttl_max_s=7200.0))
    ask(watched, "203.0.113.7", count=30, account="key", user_agent="thief/1")
    wait(watched, 12)
    assert "deny" == active(watched)["key"]
    ask(watched, "192.0.2.1", count=3, account="key", user_agent="owner/1")
    ask(watched, "203.0.113.7", count=120, every_s=9.0, account="key", user_agent="thief/1")

    assert "observe" == active(watched)["key"]


@pytest.mark.parametrize("client", ["203.0.113.7", "198.51.100.9"], ids=["there", "elsewhere"])
def test_who_goes_on_asking_while_the_gateway_refuses_is_not_taken_for_the_owner(  # noqa: PLR0917 - fixtures come by name
    engine, rule, ask, wait, active, policy, client
):
    spread = [
        rule(f"{f}.x", f, 39.0, "requests_1h", 20.0, kind=Kind.USE) for f in ("graph", "volume")
    ]
    watched = engine(*spread, policy=policy(ttl_drop_s=7200.0, ttl_max_s=7200.0))
    ask(watched, "203.0.113.7", count=30, account="key", output_tokens=2_000)
    wait(watched, 12)
    assert "deny" == active(watched)["key"]
    refused = {"status": 429, "output_tokens": -1, "bytes_out": 180}
    ask(watched, client, count=200, every_s=9.0, account="key", **refused)

    assert "deny" == active(watched)["key"]


def test_an_account_with_only_its_guilty_use_is_denied(engine, rule, ask, wait, active):
    spread = [
        rule(f"{f}.x", f, 39.0, "requests_1h", 20.0, kind=Kind.USE) for f in ("graph", "volume")
    ]
    watched = engine(*spread)
    ask(watched, count=30, account="key", user_agent="thief/1")
    wait(watched, 12)
    assert {"key": "deny", CLIENT: "drop"} == active(watched)


def test_another_program_from_the_same_addresses_gives_no_good_name(
    engine, rule, ask, wait, active
):
    spread = [
        rule(f"{f}.x", f, 39.0, "requests_1h", 20.0, kind=Kind.USE) for f in ("graph", "volume")
    ]
    watched = engine(*spread)
    ask(watched, count=3, account="key", user_agent="disguise/1")
    ask(watched, count=30, account="key", user_agent="thief/1")
    wait(watched, 12)
    assert "deny" == active(watched)["key"]


def test_a_client_behind_a_proxy_is_never_enforced_on_the_network(
    engine, guilty, ask, wait, active
):
    watched = engine(*guilty)
    ask(watched, peer="192.0.2.80", account="a")
    wait(watched, 60)
    decided = active(watched)
    assert "observe" == decided[CLIENT]
    assert "deny" == decided["a"]


@pytest.mark.parametrize("names", [("203.0.113.7/32",), ("203.0.113.0/24",)])
def test_a_rule_stays_quiet_for_those_its_exception_names(engine, rule, ask, active, names):
    quiet = [
        rule(f"{f}.x", f, 35.0, exceptions=(Exemption("ours", names=names),))
        for f in ("volume", "shape")
    ]
    watched = engine(*quiet)
    assert [] == ask(watched)
    ask(watched, "198.51.100.9")
    assert {"198.51.100.9/32": "slow"} == active(watched)


@pytest.mark.parametrize("key", ["never_block", "trusted_proxies"])
def test_rules_decide_nothing_about_configured_networks(engine, guilty, ask, key):
    watched = engine(*guilty, **{key: ("203.0.113.0/28",)})
    assert [] == ask(watched)
    assert [] == watched.decisions()


def test_an_allowed_network_is_lifted_and_left_alone_until_it_is_taken_back(engine, guilty, ask):
    watched = engine(*guilty)
    ask(watched)
    (lifted,) = watched.step([Allow("203.0.113.0/24")])
    assert (Op.LIFT, CLIENT) == (lifted.op, lifted.decision.target)
    assert [] == ask(watched, count=40, every_s=30.0)
    watched.step([Disallow("203.0.113.0/24")])
    assert ask(watched, count=40, every_s=30.0)


def test_an_allowance_for_a_time_ends_then(engine, guilty, ask):
    watched = engine(*guilty)
    watched.step([Allow("203.0.113.7", ttl_s=600.0)], 1.7e9)
    assert ["operator"] == [a.origin for a in watched.allowed() if a.cidr == CLIENT]
    assert [] == ask(watched)
    assert ask(watched, count=30, every_s=60.0)
    assert [] == [a for a in watched.allowed() if a.origin == "operator"]


def test_what_the_host_protects_is_lifted_and_refused(engine, guilty, ask, place):
    watched = engine(*guilty)
    ask(watched)
    (lifted,) = watched.step([Protect(("203.0.113.7",))])
    assert Op.LIFT is lifted.op
    with pytest.raises(RefusedError, match=r"203\.0\.113\.7"):
        watched.step([place()])
    assert [] == watched.decisions()


@pytest.mark.parametrize("target", ["203.0.113.7", "203.0.113.0/24"])
def test_the_operator_is_refused_what_must_not_be_blocked_unless_forced(engine, place, target):
    watched = engine(never_block=("203.0.113.4/30",))
    with pytest.raises(RefusedError):
        watched.step([place(target)])
    assert [] == watched.step([])
    (event,) = watched.step([place(target, force=True)])
    assert Action.DROP is event.decision.action
    assert event.decision.forced


@pytest.mark.parametrize("target", ["127.0.0.1", "::1", "0.0.0.0/0", "::/0"])
def test_loopback_is_refused_even_by_force(engine, place, target):
    watched = engine()
    with pytest.raises(RefusedError, match="not even by force"):
        watched.step([place(target, force=True)])
    assert [] == watched.decisions()


@pytest.mark.parametrize(
    ("wish", "error"),
    [
        (Place("203.0.113.7", Action.DENY, None, 60.0, ""), InvalidError),
        (Place("some-account", Action.DROP, None, 60.0, ""), InvalidError),
        (Place("203.0.113.7", Action.THROTTLE, "gentle", 60.0, ""), InvalidError),
        (Place("203.0.113.7", Action.DROP, None, 0.0, ""), InvalidError),
        (Place(" ", Action.DROP, None, 60.0, ""), InvalidError),
        (Place("203.0.113.300", Action.DENY, None, 60.0, ""), InvalidError),
        (Place("203.0.113.0/33", Action.DENY, None, 60.0, ""), InvalidError),
        (Place("203.0.113.0.0/24", Action.DENY, None, 60.0, ""), InvalidError),
        (Place("2001:db8::1::2", Action.DENY, None, 60.0, ""), InvalidError),
        (Place("2001:db8::/129", Action.DENY, None, 60.0, ""), InvalidError),
        (Lift(target="203.0.113.7"), NotFoundError),
        (Lift(id="none"), NotFoundError),
        (Disallow("203.0.113.0/24"), NotFoundError),
        (Disallow("no network"), InvalidError),
        (Allow("no network"), InvalidError),
    ],
)
def test_a_wish_that_cannot_be_granted_changes_nothing(engine, guilty, ask, wish, error):
    watched = engine(*guilty)
    ask(watched, "192.0.2.50")
    before = watched.decisions(), watched.allowed(), watched.status()
    with pytest.raises(error):
        watched.step([wish])
    assert before == (watched.decisions(), watched.allowed(), watched.status())
    assert [] == watched.step([])


@pytest.mark.parametrize("account", ["v1.2.3", "10.4.2", "a/b", "ab:cd:ef", "acct::7", "1234"])
def test_accounts_that_only_resemble_addresses_can_be_denied(engine, active, account):
    watched = engine()
    watched.step([Place(account, Action.DENY, None, 60.0, "by hand")], 1.7e9)
    assert {account: "deny"} == active(watched)


def test_an_account_that_was_seen_can_be_denied_whatever_its_name(engine, active):
    watched = engine()
    watched.step([Observed([Record(ts=1.7e9, client="203.0.113.7", account="203.0.113.300")])])
    watched.step([Place("203.0.113.300", Action.DENY, None, 60.0, "by hand")])
    assert {"203.0.113.300": "deny"} == active(watched)


def test_the_operators_decision_holds_under_observe_and_against_the_rules(  # noqa: PLR0917 - fixtures come by name
    engine, guilty, ask, wait, active, place
):
    watched = engine(*guilty, posture=Posture.OBSERVE)
    watched.step([place(action=Action.THROTTLE, tier="slow")], 1.7e9)
    ask(watched)
    wait(watched, 60)
    watched.step([SetPosture(Posture.ENFORCE)])
    wait(watched, 60)
    assert "slow" == active(watched)[CLIENT]
    watched.step([SetPosture(Posture.OBSERVE)])
    assert "slow" == active(watched)[CLIENT]


def test_the_operators_decision_expires_when_its_time_is_over(engine, wait, place):
    watched = engine()
    (event,) = watched.step([place(ttl_s=90.0)], 1.7e9)
    assert 1.7e9 + 90 == event.decision.until
    (ended,) = wait(watched, 100)
    assert (Op.EXPIRE, 1.7e9 + 90) == (ended.op, ended.ts)


def test_a_decision_can_be_lifted_by_its_id(engine, place):
    watched = engine()
    (event,) = watched.step([place("some-account", Action.DENY)], 1.7e9)
    (lifted,) = watched.step([Lift(id=event.decision.id)])
    assert isinstance(lifted, DecisionEvent)
    assert (Op.LIFT, "some-account") == (lifted.op, lifted.decision.target)


def test_a_throttle_without_a_tier_is_the_strictest(engine, place, active):
    watched = engine()
    watched.step([place(action=Action.THROTTLE)], 1.7e9)
    assert {CLIENT: "crawl"} == active(watched)


def test_an_owner_who_is_busy_that_day_keeps_the_key_beside_a_thief(
    engine, rule, ask, wait, active
):
    spread = [
        rule(f"{f}.x", f, 39.0, "requests_1h", 20.0, kind=Kind.USE) for f in ("graph", "shape")
    ]
    busy = rule("volume.x", "volume", 30.0, "requests_1h", 8.0, kind=Kind.USE)
    watched = engine(*spread, busy)
    ask(watched, "192.0.2.1", count=15, account="key", user_agent="owner/1")
    ask(watched, "203.0.113.7", count=60, account="key", user_agent="thief/1")
    wait(watched, 12)
    ask(watched, "203.0.113.7", count=3, account="key", user_agent="thief/1")

    assert "observe" == active(watched)["key"]
    assert "drop" == active(watched)["203.0.113.7/32"]
