"""The command as a whole: verbs, help, the way to the daemon, streams, terminals."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys

import pytest

from excise import __version__
from excise.cli.main import VERBS, build_app

READING = ("status", "decisions", "events", "sources", "campaigns", "top", "posture", "allow")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(excise_here, verb):
    done = excise_here(verb, "--help")
    assert (0, "") == (done.returncode, done.stderr)
    assert f"Usage: excise {verb}" in done.stdout


def test_help_names_every_verb_in_order():
    assert list(VERBS) == [
        command.name or command.callback.__name__ for command in build_app().registered_commands
    ]


CLIENTS = [verb for verb in VERBS if verb not in {"run", "check", "replay", "doctor"}]
HEAVY = {"aiohttp", "asyncio", "numpy", "pyroute2", "rich", "structlog", "yaml"}


def test_verbs_that_only_ask_load_nothing_heavy():
    program = (
        f"import sys; from excise.cli.main import build_app; build_app({CLIENTS})\n"
        f"print(sorted({HEAVY} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True, timeout=100
    )
    assert "[]\n" == done.stdout


def test_the_version_is_told(excise):
    done = excise("--version")
    assert (0, f"excise {__version__}\n") == (done.returncode, done.stdout)


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "excise", "status", "--socket", "/nonexistent/control.sock"],
        check=False,
        capture_output=True,
        timeout=100,
    )
    assert 3 == done.returncode


@pytest.mark.parametrize("verb", READING)
def test_without_a_daemon_every_verb_says_so(excise_here, tmp_path, verb):
    done = excise_here(verb, socket=tmp_path / "none.sock")
    assert (3, "") == (done.returncode, done.stdout)
    assert (
        f"excise: no daemon answers on {tmp_path}/none.sock (No such file or directory); "
        "start it with `excise run`, or name its socket with --socket\n" == done.stderr
    )


def test_a_socket_that_nobody_serves_is_no_daemon(excise, tmp_path):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "dead.sock"))
    done = excise("status", socket=tmp_path / "dead.sock")
    assert (3, True) == (done.returncode, "Connection refused" in done.stderr)


def test_something_that_is_no_daemon_is_told_apart(excise, tmp_path):
    path = tmp_path / "other.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        process = subprocess.Popen(
            [sys.executable, "-m", "excise", "status", "--socket", str(path)],
            stderr=subprocess.PIPE,
            text=True,
        )
        peer, _ = sock.accept()
        with peer:
            peer.recv(4096)
            peer.sendall(b"SSH-2.0-other\r\n")
        _, errors = process.communicate(timeout=100)
    assert (3, True) == (process.returncode, errors.startswith("excise: no daemon answers"))


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root to become somebody else")
def test_a_socket_that_may_not_be_used_is_a_refusal(served):
    directory = served.socket_path.parent
    while directory != directory.parent:
        directory.chmod(directory.stat().st_mode | 0o001)
        directory = directory.parent
    done = subprocess.run(
        [sys.executable, "-m", "excise", "status", "--socket", str(served.socket_path)],
        check=False,
        user=54321,
        group=54321,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert 0o660 == stat.S_IMODE(served.socket_path.stat().st_mode)
    assert (4, True) == (done.returncode, "you may not use this socket" in done.stderr)


def test_the_configuration_names_the_socket(served, excise, tmp_path):
    config = tmp_path / "excise.yaml"
    config.write_text(f"api: {{socket: {served.socket_path}}}\n")
    assert "throttle\n" == excise("posture", "--config", config).stdout


@pytest.mark.parametrize(
    ("text", "where"), [("api: {sokket: /x}\n", ":1:"), ("a: [\n", ":2:"), (None, "excise.yaml")]
)
def test_a_configuration_that_is_invalid_says_where(excise_here, tmp_path, text, where):
    config = tmp_path / "excise.yaml"
    if text:
        config.write_text(text)
    done = excise_here("status", "--config", config)
    assert (5, "", True) == (done.returncode, done.stdout, where in done.stderr)


def read_lines(process, count):
    return [process.stdout.readline() for _ in range(count)]


def test_events_stream_the_objects_of_the_decision_stream_live(served, start):
    process = start("events", "--json", "--after", "0", "--socket", served.socket_path)
    ops = [json.loads(line)["op"] for line in read_lines(process, 2)]
    assert ["add", "lift"] == ops
    effect = served.control.kept[0][1]
    served.call(served.control.live.put_nowait, (5, effect))
    assert effect.to_wire() == json.loads(process.stdout.readline())


def test_findings_and_alarms_are_streamed_where_asked_for(served, excise):
    arguments = ["events", "--json", "--no-follow", "--findings", "--alarms"]
    done = excise(*arguments, socket=served.socket_path)
    kinds = [json.loads(line).get("event", "decision") for line in done.stdout.splitlines()]
    assert ["decision", "finding", "alarm", "decision"] == kinds


def test_ctrl_c_ends_a_stream_quietly(served, start):
    process = start("events", "--after", "0", "--socket", served.socket_path)
    read_lines(process, 1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert (130, b"") == (process.returncode, errors)


def test_a_closed_pipe_ends_a_stream_quietly(served, start):
    process = start("events", "--after", "0", "--socket", served.socket_path)
    read_lines(process, 1)
    process.stdout.close()
    process.stdout = None
    for serial in range(5, 10):
        served.call(served.control.live.put_nowait, (serial, served.control.kept[0][1]))
    _, errors = process.communicate(timeout=10)
    assert b"" == errors


def test_a_daemon_that_stops_ends_the_stream_with_a_word(tmp_path, daemon_module, start):
    with daemon_module.serving(tmp_path) as served:
        process = start("events", "--after", "0", "--socket", served.socket_path)
        read_lines(process, 1)
    _, errors = process.communicate(timeout=10)
    assert (3, True) == (process.returncode, errors.startswith(b"excise: "))


def test_a_terminal_gets_colours_and_a_pipe_none(served, excise, colours_in):
    arguments = ["status", "--socket", served.socket_path]
    status, shown = colours_in(*arguments)
    assert (0, True) == (status, "\x1b[32myes\x1b[0m" in shown)
    assert "\x1b" not in colours_in(*arguments, NO_COLOR="1")[1]
    assert "\x1b" not in excise(*arguments).stdout


def test_top_refreshes_until_q(served, colours_in):
    arguments = ["top", "--interval", "20", "--socket", served.socket_path]
    status, shown = colours_in(*arguments, keys=b"q")
    assert (0, True) == (status, "203.0.113.7/32" in shown)
    assert shown.index("\x1b[?1049h") < shown.index("203.0.113.7/32") < shown.index("\x1b[?1049l")
