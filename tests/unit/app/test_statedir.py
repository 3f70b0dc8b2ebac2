import os
import stat

import pytest

from excise.daemon.statedir import StateDirectory
from excise.errors import InUseError, StoreError


@pytest.fixture
def state(tmp_path):
    return StateDirectory(tmp_path / "state")


def test_one_daemon_at_a_time(state):
    with state.locked(), pytest.raises(InUseError, match=f"process {os.getpid()}"), state.locked():
        pass


def test_the_lock_is_free_again_afterwards(state):
    with state.locked():
        pass
    with state.locked():
        assert state.lock.read_text() == f"{os.getpid()}\n"


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match="state directory"):
        StateDirectory(tmp_path / "file" / "state").make()


def test_the_account_key_is_made_once_and_is_nobody_elses(state):
    state.make()

    first, again = state.load_account_key(), state.load_account_key()

    assert first == again
    assert len(first) == 32
    assert stat.S_IMODE(state.account_key.stat().st_mode) == 0o600


def test_an_account_key_of_the_wrong_length_is_an_error(state):
    state.make()
    state.account_key.write_bytes(b"short")

    with pytest.raises(StoreError, match="32 bytes"):
        state.load_account_key()
