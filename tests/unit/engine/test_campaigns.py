"""A fleet is met as a whole, by the shipped rules, and whoever lives beside it is spared."""

from pathlib import Path

import msgspec
import pytest

from excise.decide.cases import Cases
from excise.decide.tenants import STEADY
from excise.engine import Engine
from excise.errors import NotFoundError
from excise.model.decision import Action, DecisionEvent, Op, Plane, Posture
from excise.model.entity import Kind
from excise.model.record import Record
from excise.model.settings import Capacity, Governor, Settings, Tenant
from excise.model.step import Lift, Observed, Tick
from excise.rulecheck import load_rules

RULES = Path(__file__).parents[3] / "rules"
START = 1_700_000_400.0
SETTINGS = Settings(
    posture=Posture.ENFORCE,
    capacity=Capacity(**dict.fromkeys(Capacity.__struct_fields__, 4096)),
)


@pytest.fixture(scope="module")
def book():
    found, errors = load_rules([RULES])
    assert [] == errors
    return found


@pytest.fixture
def engine(book):
    return lambda **changes: Engine(msgspec.structs.replace(SETTINGS, **changes), book)


def fleet(begin_s=0.0, count=200, accounts=12, name="f", *, exits=37, every_s=150.0):
    return [
        Record(
            ts=START + begin_s + i * every_s,
            client=f"2001:db8:{i % exits:x}::1",
            account=f"{name}{i % accounts}",
            prompt=("f1ee", f"{name.encode().hex()}{i:x}"),
            input_tokens=90,
            output_tokens=3000,
            status=200,
        )
        for i in range(count)
    ]


def person(begin_s, client, count=12, account="person"):
    return [
        Record(
            ts=START + begin_s + i * 40.0,
            client=client,
            account=account,
            prompt=("ca11", f"ee{i:x}"),
            input_tokens=700,
            output_tokens=200,
            status=200,
        )
        for i in range(count)
    ]


def run(watched, *streams, size=500):
    records = sorted((r for s in streams for r in s), key=lambda r: r.ts)
    effects = []
    for i in range(0, len(records), size):
        effects += watched.step([Observed(records[i : i + size])])
    return [e for e in effects if isinstance(e, DecisionEvent)]


def by_moment(event):
    return event.ts, event.decision.plane, event.decision.target


def enforced(watched, plane):
    return {d.target: d for d in watched.decisions() if d.plane is plane and d.enforcing}


def test_all_members_are_denied_and_their_exits_throttled_together(engine):
    watched = engine()
    decided = run(watched, fleet())
    accounts, exits = (
        enforced(watched, Plane.ACCOUNT),
        enforced(watched, Plane.NETWORK),
    )

    assert {f"f{i}" for i in range(12)} == set(accounts)
    assert {Action.DENY} == {d.action for d in accounts.values()}
    assert {Action.THROTTLE} == {d.action for d in exits.values()}
    first = [e.ts for e in decided if e.op is Op.ADD and e.decision.plane is Plane.ACCOUNT]
    assert max(first) == min(first)
    assert {watched.campaigns()[0].id} == {
        d.campaign for d in (*accounts.values(), *exits.values())
    }


def test_a_member_that_is_denied_is_not_scored_again_for_every_client_it_shares(
    engine, monkeypatch
):
    watched = engine()
    run(watched, fleet())
    scored = []
    monkeypatch.setattr(Cases, "account_score", lambda _, row, now: scored.append((row, now)))
    members = {watched.world.accounts.rows[a] for a in enforced(watched, Plane.ACCOUNT)}
    for row in members:
        watched.judge.assess(Kind.ACCOUNT, row, watched.clock + 60.0)

    assert members
    assert [] == scored


def test_members_that_keep_each_exit_for_ten_requests_are_denied_too(engine):
    watched = engine()
    sticky = [
        msgspec.structs.replace(r, client=f"2001:db8:{i // 120:x}{i % 12:x}::1")
        for i, r in enumerate(fleet(count=2400, every_s=30.0))
    ]
    run(watched, sticky)

    assert {f"f{i}" for i in range(12)} == set(enforced(watched, Plane.ACCOUNT))


def test_a_newcomer_inherits_with_its_first_request(engine):
    watched = engine()
    run(watched, fleet(), fleet(30_000.0, count=3, accounts=3, name="new"))

    assert {"new0", "new1", "new2"} <= set(enforced(watched, Plane.ACCOUNT))


def test_who_comes_by_a_throttled_exit_frees_it(engine):
    watched = engine()
    exit_ = "2001:db8:5::/64"
    run(watched, fleet())
    assert exit_ in enforced(watched, Plane.NETWORK)
    run(watched, person(30_010.0, "2001:db8:5::77", count=1))

    assert exit_ not in enforced(watched, Plane.NETWORK)
    assert "person" not in enforced(watched, Plane.ACCOUNT)


def test_an_office_with_one_member_inside_keeps_working(engine):
    watched = engine()
    office = [person(i * 1000.0, "203.0.113.7", 20, f"clerk{i}") for i in range(15)]
    inside = [
        msgspec.structs.replace(r, client="203.0.113.7") if r.account == "f3" else r
        for r in fleet()
    ]
    run(watched, inside, *office)

    assert "f3" in enforced(watched, Plane.ACCOUNT)
    assert "203.0.113.7/32" not in enforced(watched, Plane.NETWORK)
    assert not {a for a in enforced(watched, Plane.ACCOUNT) if a.startswith("clerk")}


def test_the_same_is_decided_however_records_are_cut(engine):
    streams = (fleet(), fleet(12_000.0, 60, 5, "late"), person(15_000.0, "2001:db8:3::9"))
    whole = run(engine(), *streams, size=10_000)

    assert whole == run(engine(), *streams, size=1)
    assert whole == run(engine(), *streams, size=7)


@pytest.mark.parametrize("cut", [40, 120, 170])
def test_a_restart_changes_nothing(engine, cut):
    records = sorted([*fleet(), *person(15_000.0, "2001:db8:3::9")], key=lambda r: r.ts)
    whole, again = engine(), engine()
    run(whole, records[:cut])
    again.restore(whole.snapshot())
    again.adopt(whole.decisions(), {})

    assert whole.campaigns() == again.campaigns()
    # What happens at one moment may change places: timers are set anew.
    after = [sorted(run(e, records[cut:]), key=by_moment) for e in (whole, again)]
    assert after[0] == after[1]
    assert whole.campaigns() == again.campaigns()


def test_a_wave_leaves_half_of_the_governors_minute(engine):
    watched = engine(governor=Governor(max_new_per_min=20))
    decided = run(watched, fleet(accounts=40, count=300))

    assert "" == watched.status().tripped
    added = [e.ts for e in decided if e.op is Op.ADD and e.decision.enforcing]
    assert all(sum(t <= at < t + 60.0 for at in added) <= 12 for t in added)


def test_a_tenant_is_spared_within_its_budget_and_not_above(engine):
    total = 3000 * 200 / 12
    for budget, spared in ((total, True), (total / 4 / STEADY, False)):
        watched = engine(tenants=(Tenant(account="f5", output_tokens_per_day=budget),))
        run(watched, fleet())

        assert spared == ("f5" not in enforced(watched, Plane.ACCOUNT))
        assert "f4" in enforced(watched, Plane.ACCOUNT)


def test_a_network_of_a_tenant_is_not_throttled(engine):
    tenant = Tenant(network="2001:db8:5::/48", output_tokens_per_day=1e9)
    watched = engine(tenants=(tenant,))
    run(watched, fleet())

    assert "2001:db8:5::/64" not in enforced(watched, Plane.NETWORK)


def test_a_lifted_member_stays_out(engine):
    watched = engine()
    run(watched, fleet())
    watched.step([Lift(target="f5")])
    run(watched, fleet(30_000.0, count=60))

    denied = enforced(watched, Plane.ACCOUNT)  # what it does by itself may still be held against it
    assert denied["f4"].campaign is not None
    assert "f5" not in denied or denied["f5"].campaign is None


def test_under_observe_a_campaign_is_told_and_nothing_enforced(engine):
    watched = engine(posture=Posture.OBSERVE)
    run(watched, fleet())

    assert {} == enforced(watched, Plane.ACCOUNT) | enforced(watched, Plane.NETWORK)
    assert 12 == watched.campaigns()[0].members


def test_a_campaign_is_explained_with_members_exits_and_what_it_took(engine):
    watched = engine()
    run(watched, fleet())
    brief = watched.campaigns()[0]
    told = watched.campaign(brief.id)

    assert (12, 12, 37) == (brief.members, told.counts["accounts"], told.counts["exits"])
    assert {f"f{i}" for i in range(12)} == {m.account for m in told.accounts}
    assert {"deny"} == {m.action for m in told.accounts}
    assert 0.5 * 600_000 < brief.ledger.output_tokens_24h <= 600_000
    assert told.saved_output_tokens > 0
    assert ("000000000000f1ee",) == told.templates
    text = " ".join(told.explanation.sentences)
    assert "12 accounts over 37 addresses" in text
    assert "It is enforced" in text
    assert any(brief.id in s for s in watched.explain("f3").sentences)


def test_an_unknown_campaign_is_not_found(engine):
    with pytest.raises(NotFoundError):
        engine().campaign("c-0000000000")


def test_a_fleet_that_falls_silent_is_let_go(engine):
    watched = engine()
    run(watched, fleet())
    later = [person(40_000.0 + d * 86_400.0, "192.0.2.1", account=f"p{d}") for d in range(20)]
    run(watched, *later)
    watched.step([Tick()], watched.clock + 90_000.0)

    assert {} == enforced(watched, Plane.ACCOUNT)
