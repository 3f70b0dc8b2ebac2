from dataclasses import replace
from functools import partial

import pytest

from excise.daemon.formats import decoder_for
from excise.daemon.inputs import encode_cursor
from excise.daemon.reread import lines_before, reread_file
from excise.daemon.restore import Reader, choose_posture, restore
from excise.decode.base import DecodeContext
from excise.engine import Engine
from excise.model.decision import Action, Op, Posture
from excise.model.settings import Settings
from excise.model.step import Observed
from excise.sources.base import Chunk, Cursor
from excise.sources.file_tail import FileTail
from excise.store.snapshot import Snapshot
from excise.store.store import PostureChoice, Stored

SETTINGS = Settings(posture=Posture.ENFORCE)
NOTHING = Stored(
    decisions=(),
    strikes={},
    cursors={},
    allowed={},
    posture=None,
    clock=0.0,
    wall=0.0,
    serials=1,
)


def encode(records):
    return b"".join(
        b'{"ts": %f, "client": "%s", "input_tokens": %d, "output_tokens": %d}\n'
        % (r.ts, r.client.encode(), r.input_tokens, r.output_tokens)
        for r in records
    )


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


@pytest.fixture
def reader(log):
    return Reader(
        name=str(log),
        reread=partial(reread_file, lambda: FileTail(log, from_start=True, linger_s=0.0)),
        make_decoder=lambda: decoder_for("record", DecodeContext((), b"")),
        from_start=True,
    )


@pytest.fixture
def cursor_at(log):
    """Return the stored cursor behind so many bytes of the log."""

    def make(offset):
        source = FileTail(log, from_start=True)
        cursor = source.poll().cursor
        source.close()
        return encode_cursor(replace(cursor, offset=offset))

    return make


def snapshot_of(engine, cursors):
    return Snapshot(clock=engine.clock, wall=0.0, cursors=cursors, blob=engine.snapshot())


def test_a_first_start_is_an_empty_engine(rulebook):
    restored = restore(SETTINGS, rulebook, NOTHING, None, [])

    assert restored.engine.clock == 0.0
    assert restored.engine.decisions() == []
    assert restored.effects == ()
    assert restored.posture == PostureChoice(Posture.ENFORCE, Posture.ENFORCE)


def test_stored_decisions_are_in_force_again(rulebook, decision):
    stored = replace(NOTHING, decisions=(decision(),), clock=200.0)

    restored = restore(SETTINGS, rulebook, stored, None, [])

    assert restored.engine.decisions() == [decision()]
    assert restored.engine.clock == 200.0


def test_the_log_after_the_snapshot_teaches_but_decides_nothing(
    rulebook, requests, log, reader, cursor_at
):
    records = requests(12)
    log.write_bytes(encode(records))
    first = Engine(SETTINGS, rulebook)
    first.step([Observed(records[:2])])
    snapshot = snapshot_of(first, {str(log): cursor_at(len(encode(records[:2])))})
    first.step([Observed(records[2:9])])
    stored = replace(
        NOTHING,
        decisions=tuple(first.decisions()),
        cursors={str(log): cursor_at(len(encode(records[:9])))},
        clock=first.clock,
    )
    assert stored.decisions

    restored = restore(SETTINGS, rulebook, stored, snapshot, [reader])

    assert restored.notes == ()
    assert restored.effects == ()
    assert restored.engine.decisions() == first.decisions()
    assert restored.engine.status().records == 9
    # From here on both see the same lines and say the same.
    rest = [Observed(records[9:])]
    assert restored.engine.step(rest) == first.step(rest)


def test_an_input_begun_at_its_start_needs_no_cursor_in_the_snapshot(
    rulebook, requests, log, reader, cursor_at
):
    log.write_bytes(encode(requests(5)))
    snapshot = snapshot_of(Engine(SETTINGS, rulebook), {})
    stored = replace(NOTHING, cursors={str(log): cursor_at(len(encode(requests(4))))}, clock=1.0)

    restored = restore(SETTINGS, rulebook, stored, snapshot, [reader])

    assert restored.engine.status().records == 4


def test_a_log_that_is_gone_is_said_and_passed_over(rulebook, requests, log, reader, cursor_at):
    log.write_bytes(encode(requests(5)))
    begin, end = cursor_at(len(encode(requests(1)))), cursor_at(len(encode(requests(5))))
    log.unlink()
    log.write_bytes(encode(requests(3, client="192.0.2.9")))
    stored = replace(NOTHING, cursors={str(log): end}, clock=1.0)

    restored = restore(
        SETTINGS,
        rulebook,
        stored,
        snapshot_of(Engine(SETTINGS, rulebook), {str(log): begin}),
        [reader],
    )

    assert "learned less" in restored.notes[0]
    assert restored.engine.status().records == 0


def test_a_snapshot_of_another_version_is_said_and_left(rulebook):
    snapshot = Snapshot(clock=1.0, wall=1.0, cursors={}, blob=b"of another time")

    restored = restore(SETTINGS, rulebook, NOTHING, snapshot, [])

    assert "learning starts anew" in restored.notes[0]
    assert restored.engine.status().records == 0


@pytest.mark.parametrize(
    ("configured", "stored", "expected"),
    [
        (Posture.ENFORCE, None, Posture.ENFORCE),
        (Posture.ENFORCE, PostureChoice(Posture.OBSERVE, Posture.ENFORCE), Posture.OBSERVE),
        (Posture.THROTTLE, PostureChoice(Posture.OBSERVE, Posture.ENFORCE), Posture.THROTTLE),
    ],
)
def test_an_operators_posture_holds_until_the_file_is_changed(configured, stored, expected):
    assert choose_posture(configured, stored).chosen is expected


def test_a_milder_configuration_takes_hold_of_decisions_made_before(rulebook, decision):
    stored = replace(
        NOTHING,
        decisions=(decision(wanted=3),),
        posture=PostureChoice(Posture.ENFORCE, Posture.ENFORCE),
        clock=200.0,
    )
    observing = Settings(posture=Posture.OBSERVE)

    restored = restore(observing, rulebook, stored, None, [])

    assert [d.action for d in restored.engine.decisions()] == [Action.OBSERVE]
    assert [effect.op for effect in restored.effects] == [Op.ESCALATE]


def test_what_the_operator_allowed_is_allowed_for_what_is_left_of_its_time(rulebook):
    stored = replace(
        NOTHING,
        allowed={"192.0.2.0/24": None, "198.51.100.0/24": 1060.0, "203.0.113.0/24": 999.0},
        clock=500.0,
        wall=1000.0,
    )

    restored = restore(SETTINGS, rulebook, stored, None, [])

    views = [v for v in restored.engine.allowed() if v.origin == "operator"]
    assert {(v.cidr, v.until) for v in views} == {
        ("192.0.2.0/24", None),
        ("198.51.100.0/24", 560.0),
    }


@pytest.mark.parametrize(
    ("offset", "ino", "kept", "done"),
    [
        (30, 2, 3, True),
        (20, 2, 2, True),
        (10, 2, 1, True),
        (0, 2, 0, True),
        (40, 2, 3, False),
        (20, 9, 3, False),
    ],
)
def test_a_chunk_is_cut_at_the_stored_place(offset, ino, kept, done):
    chunk = Chunk([b"123456789"] * 3, Cursor(1, 2, 30), lag_bytes=0)

    lines, within = lines_before(chunk, Cursor(1, ino, offset))

    assert (len(lines), within) == (kept, done)
