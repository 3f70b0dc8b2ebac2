"""The journal, by the real journalctl: what is read, where it goes on, and when it dies."""

import asyncio
import os
import signal
from dataclasses import replace

import pytest

from excise.config import JournalConfig
from excise.errors import SourceError
from excise.sources import journal
from excise.sources.base import Count, State
from excise.sources.journal import Journal, entries_between
from excise.sources.journal_entry import DROPPED

GATE = ("gate.service",)


@pytest.fixture
def config(made_journal):
    return JournalConfig(units=GATE, directory=made_journal.directory)


@pytest.fixture
def sources(config):
    opened = []

    def make(changed=config, **how):
        opened.append(Journal(changed, **how))
        return opened[-1]

    yield make
    for source in opened:
        source.close()


def read(source, count):
    """Read so many lines, within reason; return them and the last chunk."""

    async def reading():
        lines = []
        while len(lines) < count:
            chunk = source.poll()
            if chunk is None:
                await source.changed()
            else:
                lines += chunk.lines
        return lines, chunk

    return asyncio.run(asyncio.wait_for(reading(), 20))


def test_a_fresh_input_begins_behind_the_newest_entry(made_journal, sources):
    made_journal.say(b"history")
    source = sources()
    first = source.cursor
    made_journal.say(b"news", b"more")

    assert [b"news", b"more"] == read(source, 2)[0]
    assert first != source.cursor


def test_from_start_reads_history_and_only_what_was_asked_for(made_journal, sources):
    made_journal.say(b"1", b"2")
    made_journal.say(b"other", unit=b"other.service")
    made_journal.say(b"3")

    assert [b"1", b"2", b"3"] == read(sources(from_start=True), 3)[0]


def test_a_place_is_taken_up_again(made_journal, sources):
    made_journal.say(b"1")
    _, chunk = read(sources(from_start=True), 1)
    made_journal.say(b"2", b"3")
    again = sources()
    again.seek(chunk.cursor)

    lines, chunk = read(again, 2)
    assert ([b"2", b"3"], 0) == (lines, chunk.lost)


def test_a_message_may_hold_any_bytes_and_several_lines(made_journal, sources):
    made_journal.say(b"caf\xc3\xa9", b"\xff\xfe", b"two\nlines")

    assert [b"caf\xc3\xa9", b"\xff\xfe", b"two", b"lines"] == read(sources(from_start=True), 4)[0]


def test_identifiers_and_matches_choose_too(made_journal, config, sources):
    made_journal.add(
        {"SYSLOG_IDENTIFIER": b"haproxy", "MESSAGE": b"1", "PRIORITY": b"6"},
        {"SYSLOG_IDENTIFIER": b"haproxy", "MESSAGE": b"2", "PRIORITY": b"3"},
        {"SYSLOG_IDENTIFIER": b"sshd", "MESSAGE": b"3", "PRIORITY": b"6"},
    )
    chosen = replace(config, units=(), identifiers=("haproxy",), matches=("PRIORITY=6",))

    assert [b"1"] == read(sources(chosen, from_start=True), 1)[0]


def test_what_journald_dropped_is_counted_and_no_line(made_journal, sources):
    made_journal.say(b"1")
    made_journal.add(
        {
            "MESSAGE_ID": DROPPED.encode(),
            "N_DROPPED": b"42",
            "OBJECT_SYSTEMD_UNIT": GATE[0].encode(),
            "MESSAGE": b"Suppressed 42 messages from gate.service",
        }
    )
    made_journal.say(b"2")
    source = sources(from_start=True)

    assert [b"1", b"2"] == read(source, 2)[0]
    assert {"journal-dropped": 42} == source.toll.lost


def test_an_ended_journalctl_is_told_and_started_again_where_it_was(made_journal, sources):
    now = [0.0]
    made_journal.say(b"1")
    source = sources(from_start=True, clock=lambda: now[0])
    read(source, 1)
    os.kill(source._process.pid, signal.SIGKILL)
    asyncio.run(asyncio.wait_for(source.changed(), 20))
    assert source.poll() is None
    assert State.BLIND is source.state
    assert "journalctl ended with status -9; it is started again" == source.problem
    assert source.poll() is None  # not yet
    assert source._process is None
    now[0] += 1.0
    made_journal.say(b"2")

    assert [b"2"] == read(source, 1)[0]
    assert (State.READING, "") == (source.state, source.problem)


def test_the_pauses_between_starts_grow(made_journal, sources, monkeypatch):
    now = [0.0]
    source = sources(clock=lambda: now[0])
    monkeypatch.setattr(source, "_program", "/nonexistent/journalctl")
    pauses = []
    for _ in range(3):
        assert source.poll() is None
        pauses.append(source._not_before_s - now[0])
        now[0] = source._not_before_s

    assert [0.5, 1.0, 2.0] == pauses
    assert "journalctl cannot be started: No such file or directory" in source.problem


def test_a_place_that_the_journal_no_longer_holds_is_a_break(made_journal, config, sources):
    made_journal.say(b"1")
    _, chunk = read(sources(from_start=True), 1)
    (made_journal.directory / "made.journal").unlink()
    made_journal.say(b"3")
    again = sources()
    again.seek(chunk.cursor)

    assert {"break": 1} == again.toll.lost


def test_a_place_in_a_file_is_none_in_a_journal(sources):
    with pytest.raises(SourceError, match="no place in a journal"):
        sources().seek(Count(3))


def test_without_journalctl_the_start_is_refused(config, monkeypatch):
    monkeypatch.setattr(journal, "JOURNALCTL", "no-such-journalctl")
    with pytest.raises(SourceError, match="journalctl is not there; install systemd"):
        Journal(config)


def test_a_journal_that_cannot_be_read_is_refused_with_advice(config, tmp_path):
    with pytest.raises(SourceError, match=r"No such file or directory; .*group systemd-journal"):
        Journal(replace(config, directory=tmp_path / "none"))


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root, to give up its rights")
def test_without_the_right_to_read_it_the_start_is_refused_with_advice(made_journal, config):
    made_journal.say(b"1")
    made_journal.directory.chmod(0o700)
    os.seteuid(65534)
    try:
        with pytest.raises(SourceError, match=r"Permission denied; .*group systemd-journal"):
            Journal(config)
    finally:
        os.seteuid(0)


def test_an_empty_journal_is_waited_for(made_journal, sources):
    source = sources()
    assert source.cursor is None
    assert source.poll() is None
    made_journal.say(b"first")

    assert [b"first"] == read(source, 1)[0]


def test_an_entry_without_end_takes_no_memory(sources, monkeypatch):
    monkeypatch.setattr(journal, "MOST_ENTRY_BYTES", 4000)
    source = sources(from_start=True)
    data = b"".join(
        b'{"__CURSOR":"c%d","MESSAGE":"%s"}\n' % (n, text)
        for n, text in enumerate((b"1", b"x" * 20_000, b"2"))
    )
    lines = []
    for at in range(0, len(data), 1000):
        chunk = source._chunk(data[at : at + 1000])
        lines += chunk.lines if chunk else []

    assert [b"1", b"2"] == lines
    assert {"too-long": 1} == source.toll.refused


def test_entries_between_two_places_are_read_for_a_restart(made_journal, config, sources):
    made_journal.say(b"1", b"2", b"3", b"4")
    source = sources(from_start=True)
    places = {}
    for entry in entries_between(config, None, read(source, 4)[1].cursor.mark):
        places[entry.lines[0]] = entry.cursor

    between = entries_between(config, places[b"1"], places[b"3"])
    assert [(b"2",), (b"3",)] == [entry.lines for entry in between]
    with pytest.raises(SourceError, match="ends before the stored place"):
        list(entries_between(config, places[b"3"], places[b"1"]))
