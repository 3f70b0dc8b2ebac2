"""Patterns: which files are followed, from where, and when they are let go."""

import asyncio
from pathlib import Path

import pytest

from excise.config import InputConfig
from excise.daemon.formats import decoder_for
from excise.daemon.gather import BEGUN, Gather, find, stored_names, why_none
from excise.daemon.inputs import InputLoop, decode_cursor
from excise.daemon.silence import Hearing
from excise.decode.base import DecodeContext
from excise.sources import file_tail
from excise.sources.file_tail import FileTail

LINE = b'{"ts": %d, "client": "203.0.113.7"}\n'


@pytest.fixture
def item(tmp_path):
    return InputConfig(tmp_path / "*.log", "record")


@pytest.fixture
def gather(core, item):
    """Make a gathering on the core; `known` are stored cursors by name."""

    def make(begun=False, **changes):
        def open_loop(path, from_start):
            source = FileTail(path, from_start=from_start, passing=True, linger_s=0.0)
            if str(path) in core.processed:
                source.seek(decode_cursor(core.processed[str(path)]))
            return InputLoop(source, decoder_for("record", DecodeContext((), b"")), "record", core)

        known = frozenset(core.processed)
        return Gather(item, core, open_loop, [], known, Hearing(), begun)

    return make


def follow(gather, story):
    """Run a gathering while a story is told, and stop it."""

    async def both():
        async with asyncio.TaskGroup() as tasks:

            def spawn(loop):
                started.append(tasks.create_task(loop.run(lambda: None)))
                return started[-1]

            started = [tasks.create_task(gather.run(spawn, lambda: None))]
            await story()
            for task in started:
                task.cancel()

    asyncio.run(asyncio.wait_for(both(), 30))
    for loop in gather.loops:
        loop.source.close()


def records(gather):
    return {Path(loop.name).name: loop.score.records for loop in gather.loops}


def append(path, *stamps):
    with path.open("ab") as log:
        log.write(b"".join(LINE % (1_750_000_000 + n) for n in stamps))


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr("excise.daemon.gather.LOOK_S", 0.01)
    monkeypatch.setattr("excise.daemon.inputs.LOOK_S", 0.05)


def test_files_of_a_first_start_begin_at_their_end_and_later_ones_at_their_start(
    tmp_path, gather, core, until
):
    append(tmp_path / "a.log", 1, 2)
    one = gather()

    async def story():
        await until(lambda: str(tmp_path / "a.log") in core.processed)
        append(tmp_path / "a.log", 3)
        append(tmp_path / "b.log", 4, 5)
        await until(lambda: records(one) == {"a.log": 1, "b.log": 2})

    follow(one, story)
    assert BEGUN == core.processed[one.item.name]


def test_a_file_that_appeared_while_nobody_read_is_read_from_its_start(
    tmp_path, gather, core, until
):
    append(tmp_path / "a.log", 1)
    first = gather()

    async def beginning():
        await until(lambda: str(tmp_path / "a.log") in core.processed)

    follow(first, beginning)
    append(tmp_path / "a.log", 2)
    append(tmp_path / "b.log", 3, 4)
    second = gather(begun=first.item.name in core.processed)

    async def going_on():
        await until(lambda: records(second) == {"a.log": 1, "b.log": 2})

    follow(second, going_on)


def test_a_file_that_was_renamed_away_meanwhile_is_read_out(tmp_path, gather, core, until):
    append(tmp_path / "a.log", 1)
    first = gather()

    async def beginning():
        await until(lambda: str(tmp_path / "a.log") in core.processed)

    follow(first, beginning)
    append(tmp_path / "a.log", 2, 3)
    (tmp_path / "a.log").rename(tmp_path / "a.log.1")
    second = gather(begun=True)

    async def going_on():
        await until(lambda: records(second) == {"a.log": 2})

    follow(second, going_on)


def test_what_is_gone_without_a_trace_is_forgotten_without_an_alarm(tmp_path, gather, core, until):
    name = str(tmp_path / "dead.log")
    core.processed[name] = '{"dev":1,"ino":2,"offset":3,"head":""}'
    append(tmp_path / "a.log", 1)
    one = gather(begun=True)

    async def story():
        await until(lambda: records(one) == {"a.log": 1})

    follow(one, story)
    assert name not in core.processed
    assert {} == core.tally.alarms


@pytest.fixture
def gone_at_once(monkeypatch):
    monkeypatch.setattr(file_tail, "GONE_S", 0.0)


def test_a_file_that_is_gone_is_let_go_and_forgotten(tmp_path, gather, core, until, gone_at_once):
    append(tmp_path / "a.log", 1)
    one = gather()
    name = str(tmp_path / "a.log")

    async def story():
        await until(lambda: name in core.processed)
        (tmp_path / "a.log").unlink()
        await until(lambda: not one.loops)
        await core.ledger.flush()

    follow(one, story)
    assert name not in core.processed
    assert "" == core.ledger.store.batches[-1].cursors[name]


def test_a_pattern_that_nothing_fits_says_so_until_something_does(tmp_path, gather, core, until):
    one = gather()

    async def story():
        await until(lambda: one.looked)
        view = one.view()
        assert ("blind", "no file fits yet; they are read as soon as they appear") == (
            view.state,
            view.problem,
        )
        append(tmp_path / "a.log", 1)
        await until(lambda: records(one) == {"a.log": 1})

    follow(one, story)
    assert one.view() is None
    assert {"input-blind": 1, "input-recovered": 1} == core.tally.alarms


def test_a_file_that_another_input_follows_is_left_to_it(tmp_path, gather, until):
    append(tmp_path / "a.log", 1)
    append(tmp_path / "b.log", 2)
    one = gather()
    one.taken.add(str(tmp_path / "a.log"))

    async def story():
        await until(lambda: one.looked)

    follow(one, story)
    assert {"b.log": 0} == records(one)


def test_a_pattern_says_what_keeps_it_from_its_files(tmp_path):
    missing = why_none(InputConfig(tmp_path / "none" / "*.log"))
    assert f"{tmp_path}/none does not exist; files are read as soon as they appear" == missing


def test_a_closed_directory_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("excise.daemon.gather.os.access", lambda *_: False)
    said = why_none(InputConfig(tmp_path / "*.log"))

    assert f"{tmp_path}: Permission denied; give the user that runs excise" in said


def test_more_files_than_can_be_followed_are_an_alarm(tmp_path, gather, core, until, monkeypatch):
    monkeypatch.setattr("excise.daemon.gather.MOST_FILES", 2)
    for name in "abc":
        append(tmp_path / f"{name}.log", 1)
    one = gather()

    async def story():
        await until(lambda: len(one.loops) == 2 and one.problem)

    follow(one, story)
    assert "more than 2 files fit" in one.view().problem


def test_rotated_files_directories_and_second_names_are_no_logs(tmp_path, item):
    for name in ("a.log", "a-20260101.log", "b.log.1", "c.log.gz", "host-20260101.log"):
        (tmp_path / name).touch()
    (tmp_path / "d.log").mkdir()
    (tmp_path / "current.log").symlink_to("a.log")

    assert ["a.log", "host-20260101.log"] == [path.name for path in find(item)]
    everything = InputConfig(tmp_path / "*")
    assert ["a.log", "host-20260101.log"] == [path.name for path in find(everything)]


def test_a_log_just_renamed_away_is_not_taken_for_another(tmp_path, item):
    (tmp_path / "a-20260101.log").touch()

    assert [] == find(item, known=[str(tmp_path / "a.log")])


def test_patterns_reach_into_directories(tmp_path):
    (tmp_path / "x" / "y").mkdir(parents=True)
    (tmp_path / "x" / "y" / "a.log").touch()

    found = find(InputConfig(tmp_path / "**" / "*.log"))
    assert ["a.log"] == [path.name for path in found]


def test_stored_names_of_a_pattern_are_those_that_fit(tmp_path, item):
    stored = [str(tmp_path / "a.log"), "/elsewhere/a.log", "journal:x", item.name]

    assert [tmp_path / "a.log"] == stored_names(item, stored)
