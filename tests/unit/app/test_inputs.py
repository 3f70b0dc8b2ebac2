import asyncio

import pytest

from excise.daemon.formats import decoder_for
from excise.daemon.inputs import InputLoop, Rejects, decode_cursor, encode_cursor
from excise.decode.base import DecodeContext
from excise.errors import SourceError
from excise.model.record import Reject
from excise.sources.base import Chunk, Cursor, State, Toll


class FakeSource:
    """Delivers what it was given; ends after it."""

    name = "/var/log/fake"

    def __init__(self, *polls):
        self.polls = list(polls)
        self.state, self.problem = State.WAITING, ""
        self.note, self.toll, self.cursor = "", Toll.zero(), None

    def poll(self):
        if not self.polls:
            self.state = State.ENDED
            return None
        poll = self.polls.pop(0)
        if isinstance(poll, str):
            self.state, self.problem = State.BLIND, poll
            return None
        self.state, self.problem = State.READING, ""
        return poll

    async def changed(self):
        await asyncio.sleep(0)

    def seek(self, cursor):
        pass

    def close(self):
        pass


def chunk(*lines, offset=100, lag_bytes=0, lost=0):
    return Chunk(list(lines), Cursor(1, 2, offset, "h"), lag_bytes, lost)


def line(ts, client="203.0.113.7"):
    return b'{"ts": %d, "client": "%s"}' % (ts, client.encode())


@pytest.fixture
def follow(core):
    """Run an input loop to its end; return it."""

    def run(*polls):
        decoder = decoder_for("record", DecodeContext((), b""))
        loop = InputLoop(FakeSource(*polls), decoder, "record", core)
        asyncio.run(loop.run(lambda: None))
        return loop

    return run


def test_lines_are_decoded_counted_and_fed(follow, core):
    loop = follow(chunk(line(1_750_000_000), b"{", b"", line(1_750_000_005), lag_bytes=9))

    view = loop.view()
    assert (view.lines, view.records, view.lag_bytes) == (4, 2, 9)
    assert sum(view.rejects.values()) == 1
    assert view.last_line_ts == 1_750_000_005
    assert view.position["offset"] == 100
    assert view.state == "ended"
    assert core.engine.clock == 1_750_000_005
    assert core.processed == {"/var/log/fake": encode_cursor(Cursor(1, 2, 100, "h"))}


def test_lines_that_are_all_rejected_are_not_heard(follow, core):
    deaf = follow(chunk(b"{", b"no record"), chunk(b"["))
    hears = follow(chunk(b"{", line(1_750_000_000)))

    assert (0.0, 3) == (deaf.hearing.last_s, deaf.hearing.rejected)
    assert (core.time.clock.monotonic(), 0) == (hears.hearing.last_s, hears.hearing.rejected)


def test_an_input_that_goes_blind_and_sees_again_alarms_once_each(follow, core):
    follow("no such file", "no such file", chunk(line(1_750_000_000)), "no such file")

    assert core.tally.alarms == {"input-blind": 2, "input-recovered": 2}


def test_a_break_in_the_log_is_an_alarm(follow, core):
    follow(chunk(line(1_750_000_000), lost=1))

    assert core.tally.alarms == {"input-broken": 1}


def test_it_has_caught_up_when_nothing_is_left_or_nothing_can_be_read(follow):
    assert follow("no such file").caught_up.is_set()


def test_where_reading_begins_is_stored_before_there_is_a_line(core):
    source = FakeSource()
    source.cursor = Cursor(1, 2, 77, "h")
    loop = InputLoop(source, decoder_for("record", DecodeContext((), b"")), "record", core)
    asyncio.run(loop.run(lambda: None))

    assert core.processed == {"/var/log/fake": encode_cursor(source.cursor)}
    assert loop.view().position["offset"] == 77


def test_lag_is_told_in_seconds_while_there_is_more_to_read(follow, core):
    core.time.clock.wall_s = 1_750_001_000.0
    behind = follow(chunk(line(1_750_000_000), lag_bytes=10)).view()
    level = follow(chunk(line(1_750_000_000))).view()

    assert (1000.0, 0.0) == (behind.lag_s, level.lag_s)
    assert core.time.clock.wall() == level.last_heard_ts


def test_what_a_source_refused_and_lost_is_shown(core):
    source = FakeSource()
    source.toll.refused["peer"] += 2
    source.toll.lost["receive-queue"] += 3
    source.note = "looked at often"
    loop = InputLoop(source, decoder_for("record", DecodeContext((), b"")), "record", core)
    view = loop.view()

    assert ({"peer": 2}, {"receive-queue": 3}, "looked at often") == (
        view.rejects,
        view.losses,
        view.note,
    )


def test_reasons_of_rejects_cannot_grow_without_bound():
    rejects = Rejects()
    rejects.count(Reject(f"reason-{n}", b"") for n in range(1000))

    assert sum(rejects.by_reason.values()) == 1000
    assert len(rejects.by_reason) <= 65


def test_a_cursor_comes_back():
    cursor = Cursor(1, 2, 100, "3:abc")

    assert decode_cursor(encode_cursor(cursor)) == cursor


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"dev": 1}'])
def test_a_cursor_that_is_none_is_an_error(text):
    with pytest.raises(SourceError):
        decode_cursor(text)
