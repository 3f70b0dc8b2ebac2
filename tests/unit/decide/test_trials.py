"""A trial finds a pool by what it does when some of it is slowed, and nobody else; or says why not.

The world of `tests/closedloop.py` answers: who is throttled asks less. Windows are half an hour,
the first trial can begin after twelve of them and the one under way.
"""

import re

import msgspec
import pytest
from tests.closedloop import BOOK, MEMBERS, ON, SETTINGS, World, rule

from excise.campaigns.groups import find
from excise.campaigns.marks import WINDOWS
from excise.decide.book import Verdict
from excise.engine import Engine
from excise.model.decision import Action, DecisionEvent, Op, Origin, Plane, Posture
from excise.model.record import Record
from excise.model.settings import Governor, Policy, Tenant, Trials
from excise.model.step import Alarm, Allow, Lift, Observed, SetPosture
from excise.rules.schema import Rulebook

TAKEN = rule("volume.much", "output_tokens_24h", 1_000.0)
#: the minute with whose records a trial begins, and a minute in its middle
BEGINS = 30 * (WINDOWS + 1)
MIDDLE = BEGINS + 15
OVER = BEGINS + 35
HOST_RISES = {"surge": lambda minute: 3.0 if minute >= BEGINS + 2 else 1.0}


def settings(**changes):
    return msgspec.structs.replace(SETTINGS, **changes)


def decided(effects):
    return [e for e in effects if isinstance(e, DecisionEvent)]


def by_moment(event):
    return event.ts, event.decision.target


def on_trial(engine):
    return {d.target for d in engine.decisions() if d.origin is Origin.TRIAL}


@pytest.fixture(scope="module")
def begun():
    """Give the snapshot and decisions of a pool's engine in the middle of its trial."""
    world = World(pooled=True).run(MIDDLE)
    return world, world.engine.snapshot(), world.engine.decisions()


@pytest.fixture
def middle(begun):
    """Give a world in the middle of a trial, which the test may change."""
    world, blob, active = begun

    def make(**changes):
        engine = Engine(settings(**changes), BOOK)
        engine.restore(blob)
        engine.adopt(active, {})
        again = World(pooled=True, engine=engine, minute=world.minute, seed=7)
        again.throttled = set(world.throttled)
        again.asked = world.asked
        return again

    return make


# What is found


@pytest.fixture(scope="module")
def pool():
    return World(pooled=True).run(OVER)


def test_a_pool_that_shifts_its_load_is_found(pool):
    assert "shifted" == pool.trial.state
    assert pool.trial.p < 1e-3
    assert 0.6 < pool.trial.gained_requests / pool.trial.lost_requests < 1.4
    assert "response.substitution" in pool.engine.campaigns()[0].rules
    assert pool.engine.campaign(pool.engine.campaigns()[0].id).explanation.features[
        "substitution"
    ] == pytest.approx(3.699, abs=0.001)


def test_what_a_trial_did_is_told(pool):
    told = pool.engine.campaign(pool.engine.campaigns()[0].id).explanation.sentences
    found = [s for s in told if "trial" in s]

    assert 1 == len(found)
    assert re.fullmatch(
        r"In a trial that ended 0.\d+ h ago 24 of its accounts were slowed and fell short of "
        r"\d+ requests; the other 96 made up for it: they had \d+ more than accounts in no "
        r"campaign had in proportion \(p 0.0002\).",
        found[0],
    )


def test_users_of_a_popular_tool_do_not_make_up_for_each_other():
    trial = World(pooled=False).run(OVER).trial

    assert "unmoved" == trial.state
    assert trial.p > 0.01


def test_a_rise_of_the_whole_host_is_not_taken_for_a_shift():
    world = World(pooled=False, **HOST_RISES).run(OVER)

    assert "unmoved" == world.trial.state
    assert world.trial.p > 0.01
    assert "response.substitution" not in world.engine.campaigns()[0].rules


def test_a_pool_is_found_while_the_whole_host_rises():
    assert "shifted" == World(pooled=True, **HOST_RISES).run(OVER).trial.state


def test_a_rise_of_the_group_alone_that_no_slowed_account_explains_says_nothing():
    trial = World(pooled=False, own=HOST_RISES["surge"]).run(OVER).trial

    assert "void" == trial.state
    assert "it has grown itself" in trial.why


def test_a_trial_whose_throttles_nobody_acts_on_says_nothing_and_says_so():
    world = World(pooled=True, obeys=False).run(OVER)

    assert "void" == world.trial.state
    assert "the accounts were not slowed" in world.trial.why
    assert (
        0.0
        == world.engine.campaign(world.engine.campaigns()[0].id).explanation.features[
            "substitution"
        ]
    )


def test_with_evidence_of_what_is_taken_what_a_trial_found_gets_a_campaign_enforced():
    world = World(pooled=True, book=Rulebook((*BOOK.rules, TAKEN))).run(OVER)

    assert world.engine.campaigns()[0].enforced_ts
    assert {Action.DENY, Action.THROTTLE} >= {
        d.action for d in world.engine.decisions() if d.plane is Plane.ACCOUNT
    }


# What it does meanwhile


def test_a_share_of_the_accounts_is_throttled_by_the_mildest_tier_and_nothing_else(begun):
    world, _, active = begun

    assert round(0.2 * MEMBERS) == len(active)
    assert {(Plane.ACCOUNT, Action.THROTTLE, "slow", Origin.TRIAL)} == {
        (d.plane, d.action, d.tier, d.origin) for d in active
    }
    assert all(re.fullmatch(r"m\d+", d.target) for d in active)
    assert all(d.reason.startswith("a trial, not a finding") for d in active)
    assert {world.engine.campaigns()[0].id} == {d.campaign for d in active}
    assert "running" == world.trial.state
    assert (True, 1, 24) == msgspec.structs.astuple(world.engine.status().trials)


def test_throttles_end_with_the_trial_and_leave_no_strike(pool):
    events = decided(pool.effects)
    ends = [e for e in events if e.op in (Op.EXPIRE, Op.LIFT)]

    assert {Op.ADD, Op.EXPIRE} == {e.op for e in events}
    assert len([e for e in events if e.op is Op.ADD]) == len(ends)
    assert {1800.0} == {round(e.ts - e.decision.since, -1) for e in ends}
    assert set() == on_trial(pool.engine)
    book = pool.engine.judge.docket.book
    assert {0} == {
        book.strikes((Plane.ACCOUNT, e.decision.target), pool.engine.clock) for e in ends
    }


def test_a_campaign_rests_for_a_day(pool):
    begun = pool.trial.begun_ts
    engine = Engine(SETTINGS, BOOK)
    engine.restore(pool.engine.snapshot())
    World(pooled=True, engine=engine, minute=pool.minute).run(40)

    assert begun == engine.campaigns()[0].trial.begun_ts
    assert set() == on_trial(engine)


def test_a_denial_for_an_account_s_own_sake_goes_before_a_trial(middle):
    world = middle()
    target = min(on_trial(world.engine))
    judge = world.engine.judge
    judge.docket.apply(Plane.ACCOUNT, target, Verdict(1, 25.0, (), "x"), world.engine.clock)
    assert Origin.TRIAL is judge.docket.book.get(Plane.ACCOUNT, target).origin
    judge.docket.apply(Plane.ACCOUNT, target, Verdict(4, 90.0, (), "x"), world.engine.clock)
    assert Origin.RULES is judge.docket.book.get(Plane.ACCOUNT, target).origin
    world.run(25)
    assert Origin.RULES is judge.docket.book.get(Plane.ACCOUNT, target).origin


# When there is none


def test_nothing_happens_by_default():
    assert Trials() == msgspec.structs.replace(ON, enabled=False, share=0.15)
    world = World(pooled=True, settings=settings(trials=Trials())).run(OVER)
    assert [] == decided(world.effects)
    assert world.trial is None
    assert [] == world.engine.judge.trials.marks.times
    assert (False, 0, 0) == msgspec.structs.astuple(world.engine.status().trials)


@pytest.mark.parametrize(
    "changes",
    [
        {"posture": Posture.OBSERVE},
        {"tenants": tuple(Tenant(account=f"m{i}", output_tokens_per_day=1.0) for i in range(120))},
        {"governor": Governor(max_new_per_min=0)},
        {"trials": Trials(enabled=True, share=0.2, duration_s=3600.0)},
    ],
    ids=["under observe", "declared customers", "no room", "not enough windows yet"],
)
def test_no_account_is_throttled(changes):
    world = World(pooled=True, settings=settings(**changes)).run(BEGINS + 10)

    assert [] == decided(world.effects)
    assert not [e for e in world.effects if isinstance(e, Alarm)]


def test_accounts_by_an_allowed_network_and_of_one_organisation_are_left_out():
    class Mixed(World):
        def _of_group(self, i):
            record = super()._of_group(i)
            if i % 2:
                return msgspec.structs.replace(record, org="one")
            at = f"2001:db8:ffff:{self.asked % 9}::1" if i % 4 else record.client
            return msgspec.structs.replace(record, client=at)

    world = Mixed(pooled=True, settings=settings(posture=Posture.OBSERVE))
    world.engine.step([Allow("2001:db8:ffff::/48")], 1_700_000_000.0)
    world.run(BEGINS + 5)
    trials = world.engine.judge.trials
    rows = {world.engine.world.accounts.rows[f"m{i}"] for i in range(0, MEMBERS, 4)}
    campaign = world.engine.judge.crowd.register.campaigns[1]
    now, draw = world.engine.clock, trials.draw

    candidates = draw.candidates(find(world.engine.world, now), now)
    slowed, rest = draw.split(candidates & campaign.accounts.keys(), 1_000, "key", now)
    assert rows == set(slowed)
    assert [] == rest


# When it ends early


def test_turned_off_while_running_it_lifts_its_throttles(middle):
    world = middle()
    assert 24 == len(on_trial(world.engine))
    world.engine.configure(settings(trials=Trials()))

    assert set() == on_trial(world.engine)
    assert "void" == world.trial.state
    world.run(30)
    assert {Op.LIFT} == {e.op for e in decided(world.effects)}


def test_turned_off_by_a_restart_it_lifts_its_throttles(middle):
    world = middle(trials=Trials())

    assert set() == on_trial(world.engine)
    assert {Op.LIFT} == {e.op for e in decided(world.engine.step([]))}
    assert "void" == world.trial.state


def test_it_ends_when_the_posture_falls_to_observe(middle):
    world = middle()
    world.engine.step([SetPosture(Posture.OBSERVE)])
    world.run(10)

    assert set() == on_trial(world.engine)
    assert "observe" in world.trial.why


def test_it_ends_when_its_campaign_is_enforced(middle):
    world = middle()
    world.engine.configure(settings(policy=Policy(throttle=21.0, campaign_families=1)))
    world.engine.replace_rules(Rulebook((*BOOK.rules, TAKEN)))
    world.run(12)

    assert set() == on_trial(world.engine)
    assert "enforced" in world.trial.why


def test_it_ends_when_its_campaign_is_gone(middle):
    world = middle()
    judge = world.engine.judge
    for number in list(judge.crowd.register.campaigns):
        judge.crowd.register.forget(number)
    judge.trials.close(world.engine.clock)
    judge.trials.open(find(world.engine.world, world.engine.clock), world.engine.clock)
    assert set() == on_trial(world.engine)


def test_a_long_silence_ends_it_without_a_result(middle):
    world = middle()
    late = world.engine.clock + 7_200.0
    rest = [Record(ts=late + i * 300.0, client="198.51.100.1", account="p") for i in range(8)]
    world.engine.step([Observed(rest)])

    assert set() == on_trial(world.engine)
    assert "void" == world.trial.state


# The operator


def test_an_account_that_the_operator_lifts_is_in_no_trial_again(middle):
    world = middle()
    target = min(on_trial(world.engine))
    world.engine.step([Lift(target)])
    row = world.engine.world.accounts.rows[target]

    assert target not in on_trial(world.engine)
    assert world.engine.judge.trials.draw.bound(row)


def test_who_is_allowed_meanwhile_is_let_go_at_once(middle):
    world = middle()
    assert on_trial(world.engine)
    effects = world.engine.step([Allow("2001:db8::/32")])

    assert set() == on_trial(world.engine)
    assert {Op.LIFT} == {e.op for e in decided(effects)}


# Exactness


def test_the_same_is_decided_however_records_are_cut(pool):
    records = [r for minute in pool.records for r in minute]
    effects = []
    again = Engine(SETTINGS, BOOK)
    for begin in range(0, len(records), 7_777):
        effects += again.step([Observed(records[begin : begin + 7_777])])

    assert decided(pool.effects) == decided(effects)
    assert pool.engine.campaigns() == again.campaigns()


def test_an_engine_restored_in_the_middle_of_a_trial_finds_the_same(pool, begun):
    _, blob, active = begun
    again = Engine(SETTINGS, BOOK)
    again.restore(blob)
    again.adopt(active, {})
    effects = []
    for records in pool.records[MIDDLE:]:
        effects += again.step([Observed(records)])

    assert pool.engine.campaigns() == again.campaigns()
    since = decided(begun[0].effects)
    expected = sorted(decided(pool.effects)[len(since) :], key=by_moment)
    assert expected == sorted(decided(effects), key=by_moment)


def test_a_clock_that_is_set_back_changes_no_result(pool, begun):
    _, blob, active = begun
    again = Engine(SETTINGS, BOOK)
    again.restore(blob)
    again.adopt(active, {})
    for records in pool.records[MIDDLE:]:
        moved = [msgspec.structs.replace(r, ts=r.ts - 7_200.0) for r in records]
        again.step([Observed(moved)])

    trial = again.campaigns()[0].trial
    assert ("shifted", pool.trial.slowed) == (trial.state, trial.slowed)
    assert pool.trial.begun_ts - 7_200.0 == pytest.approx(trial.begun_ts, abs=5.0)


def test_a_large_trial_comes_in_waves_that_leave_the_governor_room():
    world = World(pooled=True, settings=settings(governor=Governor(max_new_per_min=20)))
    world.run(BEGINS + 1)
    assert 10 == len(on_trial(world.engine))
    world.run(3)
    assert 24 == len(on_trial(world.engine))
    assert not [e for e in world.effects if isinstance(e, Alarm)]
