"""`excise verdicts`, as a service manager runs it."""

import signal
import socketserver
import threading
import time
from contextlib import contextmanager

import pytest

from excise.cli.verdicts import MILDEST_RUNG
from excise.decide.ladder import MILDEST

FAR = 4_000_000_000.0


def wait_for(seen):
    deadline = time.monotonic() + 20
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def a_haproxy(path, maps):
    """Answer as HAProxy's runtime socket does, with these maps; yield the commands."""
    heard = []

    class Command(socketserver.BaseRequestHandler):
        def handle(self):
            command = self.request.recv(65_536).decode()
            heard.append(command)
            if command.startswith("prepare map"):
                known = command.split()[-1] in maps
                answer = "New version created: 1" if known else "Unknown map identifier."
                self.request.sendall(f"{answer}\n".encode())

    with socketserver.ThreadingUnixStreamServer(str(path), Command) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield heard
        server.shutdown()
        thread.join(10)


@pytest.fixture
def decide(served, daemon_module):
    """Have the daemon deny accounts, throttle others by a rung, and do nothing else to accounts."""

    def on(account, action, rung):
        return daemon_module.make_decision(
            id=f"d-{account}",
            plane=daemon_module.Plane.ACCOUNT,
            target=account,
            action=action,
            tier="t" if action is daemon_module.Action.THROTTLE else None,
            wanted=rung,
            until=FAR,
        )

    def set_to(*denied, **throttled):
        action = daemon_module.Action
        served.control.engine.active = [
            daemon_module.make_decision(),
            on("acct-observed", action.OBSERVE, 1),
            *(on(a, action.DENY, 4) for a in denied),
            *(on(a, action.THROTTLE, rung) for a, rung in throttled.items()),
        ]

    return set_to


def test_denied_accounts_are_shown_while_it_runs_and_none_when_it_ends(
    served, start, tmp_path, decide
):
    board = tmp_path / "board"
    board.mkdir()
    decide("acct-1", "acct-2")
    process = start("verdicts", "--directory", board, "--every", "0.1", "--socket",
                    served.socket_path)  # fmt: skip
    names = lambda: {p.name for p in board.iterdir()}  # noqa: E731 - read anew each time
    wait_for(lambda: names() == {"acct-1.denied", "acct-2.denied"})
    decide("acct-2")
    wait_for(lambda: names() == {"acct-2.denied"})
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert (0, b"", b"", set()) == (process.returncode, out, err, names())


def test_throttled_accounts_are_shown_with_the_minutes_to_a_turn_and_none_when_it_ends(
    served, start, tmp_path, decide
):
    board = tmp_path / "board"
    board.mkdir()
    decide("acct-1", mild=2, strict=3, strictest=4)
    process = start("verdicts", "--directory", board, "--every", "0.1", "--strict", "20",
                    "--socket", served.socket_path)  # fmt: skip
    shown = lambda: {p.name: p.read_text() for p in board.iterdir()}  # noqa: E731 - read anew
    wait_for(
        lambda: (
            {
                "acct-1.denied": "",
                "mild.throttled": "3\n",
                "strict.throttled": "20\n",
                "strictest.throttled": "20\n",
            }
            == shown()
        )
    )
    decide("strict")
    wait_for(lambda: shown() == {"strict.denied": ""})
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    assert (0, b"", {}) == (process.returncode, err, shown())


def test_a_haproxy_whose_configuration_only_denies_is_told_of_denials_all_the_same(
    served, start, tmp_path, decide
):
    decide("acct-1", slow=2)
    with a_haproxy(tmp_path / "admin.sock", {"/denied.map"}) as heard:
        process = start("verdicts", "--haproxy", tmp_path / "admin.sock", "--map", "/denied.map",
                        "--every", "0.1", "--socket", served.socket_path)  # fmt: skip
        said = process.stderr.readline()
        wait_for(lambda: "add map @1 /denied.map <<\nacct-1 " in "".join(heard))
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=20)
    assert b"has no map /etc/haproxy/excise/throttled.map" in said
    assert (0, b"") == (process.returncode, rest)


def test_a_daemon_that_does_not_answer_is_told_once_and_asked_again(start, tmp_path):
    process = start("verdicts", "--directory", tmp_path, "--every", "0.1", "--socket",
                    tmp_path / "no.sock")  # fmt: skip
    first = process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=20)
    assert (0, True, b"") == (process.returncode, b"no daemon answers" in first, rest)


def test_accounts_that_no_gateway_can_look_up_are_told(served, start, tmp_path, decide):
    decide("named by a person")
    process = start("verdicts", "--directory", tmp_path, "--socket", served.socket_path)
    said = process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert b"excise: accounts that no gateway can look up: 1\n" == said


def test_without_a_gateway_it_is_a_usage_error(excise):
    done = excise("verdicts")
    assert (2, True) == (done.returncode, "--directory" in done.stderr)


def test_the_mildest_tier_is_the_ladders():
    assert MILDEST == MILDEST_RUNG
