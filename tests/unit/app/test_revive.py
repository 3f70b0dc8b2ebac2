"""An engine revived from its snapshot and the store says what the one before would have said."""

import random

import pytest

from excise.engine import Engine
from excise.model.decision import DecisionEvent, Op, Plane, Posture
from excise.model.record import Record
from excise.model.settings import Settings
from excise.model.step import Observed, Tick
from excise.store.store import Batch, Store

SETTINGS = Settings(posture=Posture.ENFORCE)
START = 1_750_000_000.0


@pytest.fixture
def records():
    """Five hours of many clients in turn, a third of them well-behaved."""
    chance = random.Random(7)
    made = []
    for n in range(600):
        number = chance.randrange(40)
        output = 4000 if number % 3 else 20
        client = f"198.51.100.{number + 1}"
        made.append(
            Record(ts=START + 30.0 * n, client=client, input_tokens=90, output_tokens=output)
        )
    return made


def said(effects):
    """Return what was decided; renewals say nothing new."""
    return [
        (e.ts, e.op, e.decision.id, e.decision.action, e.decision.tier, e.decision.strikes)
        for e in effects
        if isinstance(e, DecisionEvent) and e.op is not Op.RENEW
    ]


def live(rulebook, records, store, cut, *, revive):
    """Run in pieces; between them store, and go on with another engine if asked to."""
    engine, effects, serial = Engine(SETTINGS, rulebook), [], 1
    for at in range(0, len(records), cut):
        new = engine.step([Observed(records[at : at + cut])])
        effects += new
        events = [(serial + n, e) for n, e in enumerate(new) if isinstance(e, DecisionEvent)]
        serial += len(new)
        store.commit(Batch(clock=engine.clock, wall=0.0, serials=serial, events=events))
        if revive:
            stored, snapshot = store.load(), engine.snapshot()
            engine = Engine(SETTINGS, rulebook)
            engine.restore(snapshot)
            engine.adopt(stored.decisions, stored.strikes)
    return said(effects), engine


@pytest.fixture
def store(tmp_path):
    opened, _ = Store.open(tmp_path / "excise.db", 0.0)
    yield opened
    opened.close()


@pytest.mark.parametrize("cut", [90])
def test_a_restart_changes_no_decision(rulebook, records, store, tmp_path, cut):
    spare, _ = Store.open(tmp_path / "spare.db", 0.0)
    undisturbed, _ = live(rulebook, records, spare, cut, revive=False)
    spare.close()

    revived, engine = live(rulebook, records, store, cut, revive=True)

    assert len(undisturbed) > 50
    assert undisturbed == revived
    assert sorted(store.load().decisions, key=lambda d: (d.plane, d.target)) == engine.decisions()
    assert {d.plane for d in engine.decisions()} == {Plane.NETWORK}


def test_ticks_between_records_change_no_decision(rulebook, records):
    whole = Engine(SETTINGS, rulebook)
    expected = said(whole.step([Observed(records)]))

    ticked, effects = Engine(SETTINGS, rulebook), []
    for at in range(0, len(records), 30):
        effects += ticked.step([Observed(records[at : at + 30])])
        effects += ticked.step([Tick()], ticked.clock + 2.0)

    assert expected == said(effects)
