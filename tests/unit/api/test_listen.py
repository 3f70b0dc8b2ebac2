"""Opening the doors: the socket file, the loopback address, the token file."""

import os
import socket
import stat

import pytest

from excise.api.listen import TakenError, bind_unix, close_unix, load_token, require_loopback
from excise.errors import ConfigError


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_socket_is_for_owner_and_group_in_a_directory_made_for_it(tmp_path):
    path = tmp_path / "run" / "control.sock"
    sock = bind_unix(path)
    assert (0o660, 0o750) == (mode_of(path), mode_of(path.parent))
    close_unix(sock, path)
    assert not path.exists()


def test_a_directory_that_was_there_keeps_its_mode(tmp_path):
    (tmp_path / "run").mkdir(mode=0o755)
    path = tmp_path / "run" / "control.sock"
    close_unix(bind_unix(path), path)
    assert 0o755 == mode_of(path.parent)


def test_a_socket_left_from_a_crash_is_replaced(tmp_path):
    path = tmp_path / "control.sock"
    bind_unix(path).close()
    assert path.exists()
    close_unix(bind_unix(path), path)


def test_a_daemon_that_answers_is_named_and_left_alone(tmp_path):
    path = tmp_path / "control.sock"
    sock = bind_unix(path)
    sock.listen()
    with pytest.raises(TakenError, match=rf"process {os.getpid()} "):
        bind_unix(path)
    assert path.exists()
    close_unix(sock, path)


def fill_queue(path):
    """Return connections that fill the queue of a listener that never accepts."""
    waiting = []
    for _ in range(10):
        waiting.append(socket.socket(socket.AF_UNIX))
        waiting[-1].setblocking(False)
        try:
            waiting[-1].connect(str(path))
        except BlockingIOError:
            return waiting
    pytest.fail("the queue has no end")


def test_a_process_that_listens_but_does_not_answer_is_left_alone(tmp_path):
    path = tmp_path / "control.sock"
    sock = bind_unix(path)
    sock.listen(0)
    waiting = fill_queue(path)
    with pytest.raises(TakenError, match="does not answer"):
        bind_unix(path)
    for one in waiting:
        one.close()
    close_unix(sock, path)


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_what_is_no_socket_is_never_removed(tmp_path, kind):
    path = tmp_path / "control.sock"
    path.touch() if kind == "file" else path.mkdir()
    with pytest.raises(ConfigError, match="something else"):
        bind_unix(path)
    assert path.exists()


def test_a_path_too_long_for_a_socket_is_an_error_that_names_it(tmp_path):
    with pytest.raises((ConfigError, OSError), match="path"):
        bind_unix(tmp_path / ("x" * 120))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_is_allowed(host):
    require_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "localhost", ""])
def test_any_other_address_is_refused(host):
    with pytest.raises(ConfigError, match="loopback"):
        require_loopback(host)


def test_a_token_is_made_once_for_its_owner_alone(tmp_path):
    state = tmp_path / "state"
    token = load_token(state, {})
    assert 0o600 == mode_of(state / "api-token")
    assert len(token) >= 40
    assert token == load_token(state, {})


def test_the_service_managers_credential_wins(tmp_path):
    (tmp_path / "api-token").write_text("given-by-the-manager\n")
    assert "given-by-the-manager" == load_token(
        tmp_path / "state", {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    )
    assert not (tmp_path / "state").exists()


def test_a_credentials_directory_without_a_token_is_no_error(tmp_path):
    assert load_token(tmp_path / "state", {"CREDENTIALS_DIRECTORY": str(tmp_path)})


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_token_that_others_may_read_is_refused(tmp_path, mode):
    load_token(tmp_path, {})
    (tmp_path / "api-token").chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_token(tmp_path, {})


def test_a_token_that_is_no_secret_is_refused(tmp_path):
    (tmp_path / "api-token").touch(mode=0o600)
    with pytest.raises(ConfigError, match="less than 16"):
        load_token(tmp_path, {})
