import os
import stat

import pytest

from excise.daemon.statedir import StateDirectory
from excise.errors import InUseError, StoreError
from excise.store.store import Store

NOBODY = 65_534


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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
def test_what_root_leaves_does_not_shut_the_service_out(tmp_path):
    """`excise run --lift-all` before the first start of the service made its lock root's."""
    state = StateDirectory(tmp_path / "state")
    state.make()
    os.chown(state.root, NOBODY, NOBODY)
    with state.locked():
        Store.open(state.database, 0.0)[0].close()
        state.load_account_key()

    assert {NOBODY} == {path.stat().st_uid for path in state.root.iterdir()}


@pytest.mark.parametrize(
    ("directory_of", "advice"),
    [
        ("me", "give all in it to the user that runs excise: chown -R me: "),
        ("other", "run excise as other, whose directory it is"),
    ],
)
def test_a_file_that_may_not_be_opened_says_who_should(state, monkeypatch, directory_of, advice):
    def refuse(*_args, **_keywords):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("excise.daemon.statedir._user", lambda uid: "me" if uid == 1 else "other")
    monkeypatch.setattr(StateDirectory, "_owner", lambda _: directory_of)
    monkeypatch.setattr(os, "geteuid", lambda: 1)
    state.make()
    monkeypatch.setattr(os, "open", refuse)

    with pytest.raises(StoreError, match=f"lock: Permission denied; {advice}"), state.locked():
        pass


def test_a_full_disk_does_not_keep_the_directory_from_being_held(state, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with state.locked(), pytest.raises(InUseError), state.locked():
        pass
