import sqlite3
from dataclasses import replace

import pytest

from excise.errors import StoreError
from excise.model.decision import Action, Decision, DecisionEvent, Op, Origin, Plane, Posture
from excise.store.schema import MIGRATIONS
from excise.store.store import Batch, PostureChoice, Retention, Store

DROP = Decision(
    id="d1",
    plane=Plane.NETWORK,
    target="203.0.113.7/32",
    action=Action.DROP,
    tier=None,
    since=100.0,
    until=3700.0,
    score=91.5,
    rules=("volume.pace", "shape.clock"),
    reason="41 accounts from one address",
    campaign="c1",
    wanted=3,
    strikes=2,
)


def batch(*events, **more):
    return Batch(**({"clock": 100.0, "wall": 1000.0, "serials": 50, "events": events} | more))


@pytest.fixture
def store(tmp_path):
    opened, note = Store.open(tmp_path / "excise.db", wall=0.0)
    assert note == ""
    yield opened
    opened.close()


def test_a_fresh_store_is_empty(store):
    stored = store.load()

    assert stored.decisions == ()
    assert (stored.clock, stored.wall, stored.serials) == (0.0, 0.0, 1)


def test_an_active_decision_comes_back_whole(store):
    store.commit(batch((1, DecisionEvent(100.0, Op.ADD, DROP)), cursors={"file:a": '{"offset":7}'}))

    stored = store.load()

    assert stored.decisions == (DROP,)
    assert stored.cursors == {"file:a": '{"offset":7}'}
    assert (stored.clock, stored.wall, stored.serials) == (100.0, 1000.0, 50)


def test_an_escalated_decision_is_kept_once_as_it_is_now(store):
    milder = replace(DROP, action=Action.THROTTLE, tier="slow")
    store.commit(batch((1, DecisionEvent(100.0, Op.ADD, milder))))
    store.commit(batch((2, DecisionEvent(110.0, Op.ESCALATE, DROP))))

    assert store.load().decisions == (DROP,)


@pytest.mark.parametrize("op", [Op.LIFT, Op.EXPIRE])
def test_an_ended_decision_is_no_longer_active_and_leaves_a_strike(store, op):
    store.commit(batch((1, DecisionEvent(100.0, Op.ADD, DROP))))
    store.commit(batch((2, DecisionEvent(200.0, op, DROP))))

    stored = store.load()

    assert stored.decisions == ()
    assert stored.strikes == {("network", "203.0.113.7/32"): 3}


def test_a_trial_s_decision_leaves_no_strike(store):
    tried = replace(DROP, origin=Origin.TRIAL)
    store.commit(batch((1, DecisionEvent(100.0, Op.ADD, tried))))
    assert store.load().decisions == (tried,)
    store.commit(batch((2, DecisionEvent(200.0, Op.EXPIRE, tried))))

    assert store.load().strikes == {}


def test_a_failing_batch_leaves_neither_decision_nor_cursor(store):
    broken = batch((1, DecisionEvent(100.0, Op.ADD, DROP)), cursors={"file:a": None})

    with pytest.raises(StoreError, match="cannot write"):
        store.commit(broken)

    stored = store.load()
    assert stored.decisions == ()
    assert stored.cursors == {}


def test_operator_choices_come_back(store):
    choice = PostureChoice(chosen=Posture.OBSERVE, configured=Posture.ENFORCE)
    store.commit(
        batch(allowed={"192.0.2.0/24": None, "198.51.100.0/24": 9000.0}, posture=choice),
        batch(disallowed=("192.0.2.0/24",), durable=True),
    )

    stored = store.load()

    assert stored.allowed == {"198.51.100.0/24": 9000.0}
    assert stored.posture == choice


def test_events_are_read_from_a_serial_on(store):
    events = [(n, DecisionEvent(100.0 + n, Op.RENEW, DROP)) for n in (3, 5, 9)]
    store.commit(batch(*events))

    assert store.events_after(3, limit=10) == events[1:]
    assert store.events_after(0, limit=2) == events[:2]


def test_the_same_batch_twice_is_the_same_as_once(store):
    once = batch((1, DecisionEvent(100.0, Op.ADD, DROP)))
    store.commit(once)
    store.commit(once)

    assert store.load().decisions == (DROP,)
    assert len(store.events_after(0, limit=10)) == 1


def test_settling_makes_the_active_set_what_it_is_told(store):
    other = replace(DROP, id="d2", target="192.0.2.1/32")
    store.commit(batch((1, DecisionEvent(100.0, Op.ADD, DROP))))

    store.settle([other], ts=300.0)

    assert store.load().decisions == (other,)


def test_the_past_is_bounded_by_age_and_by_number(store):
    ended = [replace(DROP, id=f"d{n}", target=f"192.0.2.{n}/32") for n in range(6)]
    store.commit(
        batch(*((n, DecisionEvent(100.0 * n, Op.LIFT, d)) for n, d in enumerate(ended, 1)))
    )

    store.prune(650.0, Retention(age_s=500.0, strikes_s=500.0, decisions=3, events=4))

    rows = store._db.execute("SELECT id FROM decisions ORDER BY id").fetchall()
    assert rows == [("d3",), ("d4",), ("d5",)]
    assert [serial for serial, _ in store.events_after(0, limit=10)] == [3, 4, 5, 6]
    assert ("network", "192.0.2.0/32") not in store.load().strikes


def test_pruning_never_touches_an_active_decision(store):
    store.commit(batch((1, DecisionEvent(1.0, Op.ADD, DROP))))

    store.prune(1e9, Retention(age_s=1.0, decisions=0, events=0))

    assert store.load().decisions == (DROP,)


def test_a_damaged_database_is_kept_aside_and_an_empty_one_begun(tmp_path):
    path = tmp_path / "excise.db"
    path.write_bytes(b"no database at all" * 500)

    store, note = Store.open(path, wall=1234.0)

    assert "started empty" in note
    assert store.load().decisions == ()
    assert (tmp_path / "excise.db.damaged-1234").read_bytes().startswith(b"no database")
    store.close()


def test_where_a_damaged_database_cannot_be_put_aside_it_says_what_to_do(tmp_path):
    path = tmp_path / "excise.db"
    path.write_bytes(b"no database at all" * 500)
    (tmp_path / "excise.db.damaged-1234").mkdir()

    with pytest.raises(StoreError, match="move the file away"):
        Store.open(path, wall=1234.0)
    assert path.read_bytes().startswith(b"no database")


def test_pages_overwritten_in_place_count_as_damage(tmp_path):
    path = tmp_path / "excise.db"
    store, _ = Store.open(path, wall=0.0)
    store.commit(*(batch((n, DecisionEvent(1.0, Op.RENEW, DROP))) for n in range(500)))
    store.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xa5" * 8192 + whole[12288:])

    reopened, note = Store.open(path, wall=5.0)

    assert "started empty" in note
    reopened.close()


def test_a_database_of_a_newer_excise_is_left_alone(tmp_path):
    path = tmp_path / "excise.db"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()

    with pytest.raises(StoreError, match="newer excise"):
        Store.open(path, wall=0.0)


def test_a_directory_that_cannot_be_used_is_an_error_that_names_it(tmp_path):
    with pytest.raises(StoreError, match="nowhere"):
        Store.open(tmp_path / "nowhere" / "excise.db", wall=0.0)


def test_a_forced_decision_is_forced_after_a_restart(store):
    store.commit(batch((1, DecisionEvent(100.0, Op.ADD, replace(DROP, forced=True)))))

    assert (replace(DROP, forced=True),) == store.load().decisions


def test_a_database_of_the_first_schema_is_migrated_with_its_decisions(tmp_path):
    path = tmp_path / "excise.db"
    with sqlite3.connect(path) as old:
        old.executescript(f"{MIGRATIONS[0]} PRAGMA user_version = 1;")
        old.execute(
            "INSERT INTO decisions VALUES ('d1', 'network', '203.0.113.7/32', 'drop', NULL, 100.0,"
            " 3700.0, 91.5, '[\"volume.pace\",\"shape.clock\"]', '41 accounts from one address',"
            " 'c1', 'rules', 3, 2, NULL, NULL)"
        )
    old.close()

    migrated, note = Store.open(path, wall=0.0)

    assert note == ""
    assert (DROP,) == migrated.load().decisions
    migrated.close()
