"""How a decision begins, climbs, lasts, and ends."""

import pytest

from excise.model.decision import Op, Posture
from excise.model.entity import Kind
from excise.model.step import Finding, Lift, Observed
from excise.rules.schema import Maturity

CLIENT = "203.0.113.7/32"


@pytest.mark.parametrize(
    "case",
    [
        ({"volume": 15}, Posture.ENFORCE, {}),
        ({"volume": 25}, Posture.ENFORCE, {CLIENT: "observe"}),
        ({"volume": 39}, Posture.ENFORCE, {CLIENT: "observe"}),
        ({"volume": 25, "shape": 20}, Posture.ENFORCE, {CLIENT: "slow"}),
        ({"volume": 30, "shape": 25}, Posture.ENFORCE, {CLIENT: "crawl"}),
        ({"volume": 35, "shape": 35}, Posture.ENFORCE, {CLIENT: "drop"}),
        ({"volume": 35, "shape": 35}, Posture.THROTTLE, {CLIENT: "crawl"}),
        ({"volume": 35, "shape": 35}, Posture.OBSERVE, {CLIENT: "observe"}),
        ({"volume": 90}, Posture.ENFORCE, {CLIENT: "observe"}),
    ],
)
def test_the_score_says_what_is_done_and_the_posture_how_much_of_it(  # noqa: PLR0917 - fixtures come by name
    engine, rule, ask, wait, active, case
):
    weights, posture, expected = case
    rules = [rule(f"{family}.x", family, weight) for family, weight in weights.items()]
    watched = engine(*rules, posture=posture)
    ask(watched)
    wait(watched, 60)
    assert expected == active(watched)


def test_one_family_alone_never_drops_however_high_its_score(engine, rule, ask, wait, policy):
    watched = engine(rule("volume.x", "volume", 90), policy=policy(family_cap=100.0))
    ask(watched)
    wait(watched, 60)
    (decision,) = watched.decisions()
    assert ("throttle", "crawl") == (decision.action.value, decision.tier)


def test_the_first_decision_is_the_mildest_tier_and_climbs_after_the_dwell(
    engine, guilty, ask, wait
):
    watched = engine(*guilty)
    (first,) = ask(watched, count=5)
    assert (Op.ADD, "slow") == (first.op, first.decision.tier)
    assert [] == wait(watched, 9)
    (second,) = wait(watched, 2)
    assert (Op.ESCALATE, "drop") == (second.op, second.decision.action.value)
    assert first.ts + 10 == second.ts
    assert first.decision.id == second.decision.id


@pytest.mark.parametrize("second", [Kind.USE, Kind.ACCOUNT])
def test_what_comes_up_right_after_an_account_was_judged_counts(  # noqa: PLR0917 - fixtures come by name
    engine, rule, ask, wait, active, second
):
    """A burst shows its shape and, a moment later, its volume; then it is over."""
    shape = rule("shape.x", "shape", 35.0, above=4.5, kind=Kind.USE)
    volume = rule("volume.x", "volume", 35.0, above=9.5, kind=second)
    watched = engine(shape, volume)
    ask(watched, account="acct-1", count=12, every_s=0.1)
    assert "slow" == active(watched)["acct-1"]
    wait(watched, 11)
    assert "deny" == active(watched)["acct-1"]


def test_evidence_of_experimental_rules_only_observes(engine, rule, ask, wait, active):
    rules = [
        rule(f"{f}.x", f, 39.0, maturity=Maturity.EXPERIMENTAL) for f in ("volume", "shape", "api")
    ]
    watched = engine(*rules)
    ask(watched)
    wait(watched, 60)
    assert {CLIENT: "observe"} == active(watched)


def test_a_refusal_drops_alone(engine, rule, ask, wait, active):
    plain = rule("network.plaintext", "network", 5.0, "plaintext_1h", 0.5, refuse=True)
    watched = engine(plain)
    ask(watched, tls="none")
    wait(watched, 11)
    assert {CLIENT: "drop"} == active(watched)


def test_an_experimental_refusal_drops_nobody(engine, rule, ask, wait, active):
    plain = rule(
        "network.plaintext",
        "network",
        25.0,
        "plaintext_1h",
        0.5,
        refuse=True,
        maturity=Maturity.EXPERIMENTAL,
    )
    watched = engine(plain)
    ask(watched, tls="none")
    wait(watched, 60)
    assert {CLIENT: "observe"} == active(watched)


def test_a_decision_whose_evidence_faded_expires_when_its_time_is_over(engine, rule, ask, wait):
    fading = [rule(f"{f}.x", f, 24.0, half_life_s=120.0) for f in ("volume", "shape")]
    watched = engine(*fading)
    (added,) = ask(watched, count=5)
    (ended,) = wait(watched, 700)
    assert (Op.EXPIRE, added.decision.until) == (ended.op, ended.ts)
    assert [] == watched.decisions()


def test_a_decision_that_still_has_its_share_of_the_threshold_is_kept(engine, rule, ask, wait):
    # 48 points fade to 37 in ten minutes: under the 40 that made it, over the 28 that keep it.
    fading = [rule(f"{f}.x", f, 24.0, half_life_s=1600.0) for f in ("volume", "shape")]
    watched = engine(*fading)
    (added,) = ask(watched, count=5)
    (kept,) = wait(watched, 610)
    assert (Op.RENEW, added.decision.until) == (kept.op, kept.ts)
    assert kept.ts + 600 == kept.decision.until


def test_a_source_that_goes_on_is_renewed_before_it_lapses(engine, guilty, ask, wait):
    watched = engine(*guilty)
    ask(watched, count=5)
    (dropped,) = wait(watched, 11)
    renewed = [e for e in ask(watched, count=40, every_s=20.0) if e.op is Op.RENEW]
    assert renewed
    assert renewed[0].ts < dropped.decision.until


def test_each_enforced_decision_doubles_the_next_ones_time_up_to_the_most(
    engine, rule, ask, wait, start
):
    fading = [rule(f"{f}.x", f, 24.0, half_life_s=60.0) for f in ("volume", "shape")]
    watched = engine(*fading)
    lasted = []
    for _ in range(4):
        first = ask(watched, count=12, every_s=0.1)[0]
        lasted.append(round(first.decision.until - first.ts))
        wait(watched, 3000)
        wait(watched, 3000)
    assert [600, 1200, 2000, 2000] == lasted


def test_a_lift_forgets_the_evidence_so_that_the_decision_does_not_come_back(
    engine, guilty, ask, wait
):
    watched = engine(*guilty)
    ask(watched, count=5)
    watched.step([Lift(target="203.0.113.7")])
    assert [] == watched.decisions()
    assert [] == wait(watched, 60)
    assert [] == watched.decisions()


def test_a_finding_names_rule_entity_and_numbers(engine, rule, start):
    from excise.model.record import Record

    watched = engine(rule("volume.x", "volume", 5.0))
    records = [Record(ts=start + i, client="203.0.113.7") for i in range(6)]
    (found,) = watched.step([Observed(records)])
    assert isinstance(found, Finding)
    assert ("volume.x", CLIENT, 5.0) == (found.rule, found.entity.name, found.weight)
    ((feature, value, threshold),) = found.numbers
    assert ("requests_1h", 4.5) == (feature, threshold)
    assert value > threshold
