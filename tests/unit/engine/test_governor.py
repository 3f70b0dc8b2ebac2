"""However sure the rules are, so much and no more; then a person has to look."""

from excise.model.decision import Op, Posture
from excise.model.record import Record
from excise.model.settings import Governor
from excise.model.step import Alarm, Observed, SetPosture


def swarm(start, clients, at_s=0.0):
    return [
        Record(ts=start + at_s + i * 0.1, client=f"198.51.{c}.9", output_tokens=100)
        for i in range(6)
        for c in range(clients)
    ]


def test_too_many_new_decisions_in_a_minute_trip_it(engine, guilty, start):
    watched = engine(*guilty, governor=Governor(max_new_per_min=5, free=1000))
    effects = watched.step([Observed(swarm(start, 20))])
    assert ["governor-tripped"] == [e.code for e in effects if isinstance(e, Alarm)]
    assert 20 == len(watched.decisions())
    assert not any(d.enforcing for d in watched.decisions())
    status = watched.status()
    assert ("enforce", "observe") == (status.posture, status.effective_posture)
    assert "5" in status.tripped


def test_too_large_a_share_of_active_clients_trips_it(engine, guilty, start):
    limits = Governor(max_new_per_min=1000, free=3, max_share=0.2)
    watched = engine(*guilty, governor=limits)
    honest = [Record(ts=start, client=f"192.0.2.{i}") for i in range(30)]
    effects = watched.step([Observed([*honest, *swarm(start, 20, at_s=1.0)])])
    assert ["governor-tripped"] == [e.code for e in effects if isinstance(e, Alarm)]
    enforced = [e for e in effects if not isinstance(e, Alarm) and hasattr(e, "decision")]
    assert 5 <= sum(e.op is Op.ADD and e.decision.enforcing for e in enforced) <= 10
    assert not any(d.enforcing for d in watched.decisions())


def test_decisions_spread_over_time_do_not_trip_it(engine, guilty, ask, wait):
    watched = engine(*guilty, governor=Governor(max_new_per_min=2, free=1000))
    for i in range(6):
        ask(watched, f"198.51.{i}.9", count=5)
        wait(watched, 61)
    assert "" == watched.status().tripped


def test_setting_the_posture_again_rearms_it(engine, guilty, start, wait):
    watched = engine(*guilty, governor=Governor(max_new_per_min=5, free=1000))
    watched.step([Observed(swarm(start, 20))])
    watched.step([SetPosture(Posture.ENFORCE)])
    assert "" == watched.status().tripped
    assert "enforce" == watched.status().effective_posture
    wait(watched, 11)
    assert any(d.enforcing for d in watched.decisions())


def test_a_change_of_posture_reaches_what_is_decided_already(engine, guilty, ask, wait, active):
    watched = engine(*guilty, posture=Posture.OBSERVE)
    ask(watched)
    wait(watched, 11)
    seen = []
    for posture in (Posture.ENFORCE, Posture.THROTTLE, Posture.OBSERVE):
        (event,) = watched.step([SetPosture(posture)])
        assert Op.ESCALATE is event.op
        seen.append(active(watched)["203.0.113.7/32"])
    assert ["drop", "crawl", "observe"] == seen
    assert Posture.OBSERVE is watched.posture
