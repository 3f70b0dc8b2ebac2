"""What root is told of what the service's user may not."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from excise.config import InputConfig
from excise.doctor.check import Check, State
from excise.doctor.runas import check_runas, runs_as

NOBODY = 65_534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")


@pytest.fixture
def state():
    """A state directory of nobody's, where nobody can get to it, unlike to pytest's own."""
    with TemporaryDirectory(dir="/tmp") as directory:  # in reach of everybody
        Path(directory).chmod(0o755)
        state = Path(directory) / "state"
        state.mkdir()
        os.chown(state, NOBODY, NOBODY)
        yield state


def checks(state, *files):
    return list(check_runas([InputConfig(file, "record") for file in files], state))


@as_root
def test_a_log_that_only_root_may_read_is_found(state):
    closed, open_ = state.parent / "closed.log", state.parent / "open.log"
    closed.touch(mode=0o600)
    open_.touch(mode=0o644)

    (found,) = checks(state, open_, closed)

    assert ("input", State.WARN) == (found.name, found.state)
    assert f"{closed} may be read by root, not by nobody" in found.text
    assert "SupplementaryGroups=" in found.advice


@as_root
def test_a_directory_above_that_is_shut_counts(state):
    inner = state.parent / "shut"
    inner.mkdir(mode=0o700)
    (inner / "a.log").touch(mode=0o644)

    assert 1 == len(checks(state, inner / "a.log"))


@as_root
def test_each_file_of_a_pattern_is_looked_at(state):
    (state.parent / "a.log").touch(mode=0o644)
    (state.parent / "b.log").touch(mode=0o600)

    (found,) = checks(state, state.parent / "*.log")
    assert "b.log may be read by root" in found.text


@as_root
def test_what_root_left_in_the_state_directory_is_named(state):
    (state / "lock").touch()

    expected = Check(
        "state directory",
        State.FAIL,
        f"in {state} not all belongs to nobody, who cannot start then: lock",
        f"chown -R nobody: {state}",
    )
    assert [expected] == checks(state)


@as_root
def test_all_is_well_where_the_service_may_do_all(state):
    (state.parent / "a.log").touch(mode=0o644)
    (state / "lock").touch()
    os.chown(state / "lock", NOBODY, NOBODY)
    (state / "lost+found").mkdir()

    assert [] == checks(state, state.parent / "a.log", state.parent / "not-there.log")


def test_nothing_is_said_of_a_directory_of_ones_own(tmp_path):
    assert runs_as(tmp_path) is None
    assert runs_as(tmp_path / "none") is None
    assert [] == checks(tmp_path)
