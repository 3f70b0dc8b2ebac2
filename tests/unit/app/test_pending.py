from excise.daemon.pending import Entry, Pending
from excise.model.decision import DecisionEvent, Op, Posture
from excise.model.step import Alarm
from excise.store.store import PostureChoice


def add(pending, entry, numbered=(), *, durable=False):
    pending.add(entry, list(numbered), durable=durable)
    return pending


def test_only_decisions_are_stored_of_what_is_published(decision):
    event = DecisionEvent(1.0, Op.ADD, decision())
    pending = add(Pending(), Entry(), [(1, Alarm(0.0, "x", "")), (2, event)])

    assert pending.batch(0.0, 0.0, 3).events == ((2, event),)
    assert len(pending.numbered) == 2


def test_the_last_word_counts():
    early = add(Pending(), Entry(cursors={"a": "1", "b": "1"}, allowed={"192.0.2.0/24": None}))
    late = add(Pending(), Entry(cursors={"a": "2"}, disallowed=["192.0.2.0/24"]), durable=True)

    early.extend(late)

    batch = early.batch(1.0, 2.0, 3)
    assert batch.cursors == {"a": "2", "b": "1"}
    assert (batch.allowed, batch.disallowed) == ({}, ["192.0.2.0/24"])
    assert batch.durable


def test_allowing_again_takes_back_a_removal():
    pending = add(Pending(), Entry(disallowed=["192.0.2.0/24"]))
    add(pending, Entry(allowed={"192.0.2.0/24": 9.0}))

    batch = pending.batch(1.0, 2.0, 3)
    assert (batch.allowed, batch.disallowed) == ({"192.0.2.0/24": 9.0}, [])


def test_a_posture_is_not_forgotten_by_what_follows():
    choice = PostureChoice(Posture.THROTTLE, Posture.OBSERVE)
    pending = add(Pending(), Entry(posture=choice))
    add(pending, Entry(cursors={"a": "2"}))

    assert pending.batch(1.0, 2.0, 3).posture == choice


def test_the_oldest_events_are_given_up_first(decision):
    events = [(n, DecisionEvent(1.0, Op.RENEW, decision())) for n in range(5)]
    pending = add(Pending(), Entry(), events)

    assert pending.shed(most=2) == 3
    assert [serial for serial, _ in pending.events] == [3, 4]
