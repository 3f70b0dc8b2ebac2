"""Time stamps that lie, jump, or were set back: the engine keeps its head."""

import math

import pytest

from excise.engine import Engine
from excise.model.decision import DecisionEvent, Op, Posture
from excise.model.entity import Family, Kind
from excise.model.record import Record
from excise.model.settings import Capacity, Governor, Policy, Settings
from excise.model.step import Alarm, Allow, Observed, Tick
from excise.rules.schema import Comparison, Maturity, Rule, Rulebook

START = 1_700_000_000.0
DAY = 86_400.0
CLIENT = "203.0.113.7/32"
SMALL = Capacity(64, 64, 64, 64, 64, 64, 64)
POLICY = Policy(family_cap=50.0, throttle=40.0, drop=65.0, ttl_throttle_s=3600.0)
VOLUME = Rule(
    id="volume.many",
    about="Many requests",
    family=Family.VOLUME,
    kind=Kind.CLIENT,
    when=(Comparison("requests_1h", above=5.0),),
    weight=45.0,
    half_life_s=7200.0,
    maturity=Maturity.STABLE,
    hits_also="",
)


@pytest.fixture
def engine():
    settings = Settings(
        posture=Posture.ENFORCE,
        policy=POLICY,
        capacity=SMALL,
        late_tolerance_s=300.0,
        jump_tolerance_s=3600.0,
    )
    return Engine(settings, Rulebook((VOLUME,)))


def lines(*times, client="203.0.113.7"):
    return [Observed([Record(ts=START + t, client=client, output_tokens=10) for t in times])]


def test_a_line_a_little_late_keeps_its_own_time(engine):
    engine.step(lines(0, 200))
    engine.step(lines(-50, client="192.0.2.1"))
    seen = engine.world.tables[Kind.CLIENT].last
    assert START - 50 == seen[engine.world.clients.rows["192.0.2.1/32"]]
    assert START + 200 == engine.clock
    assert 0 == engine.status().clock_jumps


def test_a_line_far_late_is_taken_as_just_late_enough_and_counted(engine):
    engine.step(lines(10_000, 10_001))
    engine.step(lines(0, client="192.0.2.1"))
    seen = engine.world.tables[Kind.CLIENT].last
    assert START + 10_001 - 300 == seen[engine.world.clients.rows["192.0.2.1/32"]]
    assert 1 == engine.status().late
    assert START + 10_001 == engine.clock


@pytest.mark.parametrize("ahead_s", [4000, 10 * DAY, 1e9])
def test_a_line_far_ahead_moves_nothing(engine, ahead_s):
    engine.step(lines(*range(20)))
    decided, score = engine.decisions(), engine.scored("client")[0].score
    effects = engine.step(lines(ahead_s, client="192.0.2.1"))
    assert [] == effects
    assert START + 19 == engine.clock
    assert decided == engine.decisions()
    assert score == engine.scored("client")[0].score
    engine.step(lines(20, 21))
    assert START + 21 == engine.clock


def test_lines_far_ahead_of_different_opinion_move_nothing(engine):
    engine.step(lines(*range(5)))
    engine.step(lines(50 * DAY, 5, 40 * DAY, 6, 30 * DAY, 7, 60 * DAY, 8))
    assert START + 8 == engine.clock
    assert 0 == engine.status().clock_jumps


def test_four_lines_that_agree_move_the_clock_and_say_so(engine):
    engine.step(lines(0, 1))
    assert [] == engine.step(lines(5 * DAY, 5 * DAY + 1, 5 * DAY + 2))
    assert START + 1 == engine.clock
    alarms = engine.step(lines(5 * DAY + 3))
    assert ["clock-jumped"] == [a.code for a in alarms if isinstance(a, Alarm)]
    assert 3 >= START + 5 * DAY + 3 - engine.clock >= 0
    assert 1 == engine.status().clock_jumps


def test_sparse_honest_traffic_does_not_freeze_the_clock(engine):
    for i in range(1, 100):
        engine.step(lines(i * 7200.0))
        assert START + i * 7200.0 - engine.clock <= 4 * 7200.0


def test_a_clock_set_back_is_followed_and_decisions_keep_their_time(engine):
    engine.step(lines(*[DAY + i for i in range(10)]))
    (before,) = engine.decisions()
    score, left_s = engine.scored("client")[0].score, before.until - engine.clock
    engine.step(lines(0, 1, 2, client="192.0.2.1"))
    assert START + DAY + 9 == engine.clock
    engine.step(lines(3, client="192.0.2.1"))
    assert pytest.approx(START + 3, abs=3) == engine.clock
    (after,) = engine.decisions()
    assert before.id == after.id
    assert pytest.approx(left_s, abs=3) == after.until - engine.clock
    assert pytest.approx(score, abs=0.1) == engine.scored("client")[0].score


def test_after_a_set_back_a_decision_still_lapses_when_its_time_is_over(engine):
    engine.step(lines(*[DAY + i for i in range(10)]))
    engine.step(lines(0, 1, 2, 3, client="192.0.2.1"))
    (decision,) = engine.decisions()
    ended = []
    for hours in range(1, 30):
        ended += engine.step([Tick()], START + hours * 3600.0)
    ends = [e for e in ended if isinstance(e, DecisionEvent) and e.op is Op.EXPIRE]
    assert [decision.target] == [e.decision.target for e in ends]
    assert [] == engine.decisions()


def test_after_a_set_back_an_allowance_keeps_its_remaining_time(engine):
    engine.step(lines(DAY, DAY + 1))
    engine.step([Allow("192.0.2.0/24", ttl_s=600.0)])
    engine.step(lines(0, 1, 2, 3))
    (until,) = [a.until for a in engine.allowed() if a.origin == "operator"]
    assert pytest.approx(600.0, abs=3) == until - engine.clock


def test_after_a_set_back_old_decisions_do_not_count_as_new_for_a_day():
    governor = Governor(max_new_per_min=6, free=1000)
    settings = Settings(posture=Posture.ENFORCE, governor=governor, policy=POLICY, capacity=SMALL)
    one = Engine(settings, Rulebook((VOLUME,)))
    for i in range(4):
        one.step(lines(*[DAY + i * 10 + k for k in range(8)], client=f"198.51.{i}.1"))
    one.step(lines(0, 1, 2, 3, client="192.0.2.1"))
    for i in range(4):
        one.step(lines(*[600 + i * 10 + k for k in range(8)], client=f"198.51.{100 + i}.1"))
    assert 8 == one.status().enforcing_decisions
    assert "" == one.status().tripped


def test_no_number_is_ever_infinite_or_none(engine):
    for jump_s in (0, 5 * DAY, 0, 400 * DAY, 2 * DAY, 8000 * DAY, DAY):
        engine.step(lines(*[jump_s + i for i in range(12)]))
        shown = engine.explain(CLIENT)
        assert all(math.isfinite(v) for v in shown.features.values())
        assert math.isfinite(shown.score)
        for d in engine.decisions():
            assert math.isfinite(d.until)
            assert d.until > engine.clock
    assert 84 == shown.features["total"]
