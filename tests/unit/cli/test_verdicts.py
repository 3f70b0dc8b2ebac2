"""`excise verdicts`, as a service manager runs it."""

import signal
import time

import pytest

FAR = 4_000_000_000.0


def wait_for(seen):
    deadline = time.monotonic() + 20
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def deny(served, daemon_module):
    """Have the daemon deny accounts, and nothing else on accounts."""

    def set_to(*accounts):
        served.control.engine.active = [
            daemon_module.make_decision(),
            *(
                daemon_module.make_decision(
                    id=f"d-{a}",
                    plane=daemon_module.Plane.ACCOUNT,
                    target=a,
                    action=daemon_module.Action.DENY,
                    tier=None,
                    until=FAR,
                )
                for a in accounts
            ),
        ]

    return set_to


def test_denied_accounts_are_shown_while_it_runs_and_none_when_it_ends(
    served, start, tmp_path, deny
):
    board = tmp_path / "board"
    board.mkdir()
    deny("acct-1", "acct-2")
    process = start("verdicts", "--directory", board, "--every", "0.1", "--socket",
                    served.socket_path)  # fmt: skip
    names = lambda: {p.name for p in board.iterdir()}  # noqa: E731 - read anew each time
    wait_for(lambda: names() == {"acct-1.denied", "acct-2.denied"})
    deny("acct-2")
    wait_for(lambda: names() == {"acct-2.denied"})
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert (0, b"", b"", set()) == (process.returncode, out, err, names())


def test_a_daemon_that_does_not_answer_is_told_once_and_asked_again(start, tmp_path):
    process = start("verdicts", "--directory", tmp_path, "--every", "0.1", "--socket",
                    tmp_path / "no.sock")  # fmt: skip
    first = process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=20)
    assert (0, True, b"") == (process.returncode, b"no daemon answers" in first, rest)


def test_accounts_that_no_gateway_can_look_up_are_told(served, start, tmp_path, deny):
    deny("named by a person")
    process = start("verdicts", "--directory", tmp_path, "--socket", served.socket_path)
    said = process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert b"excise: accounts that no gateway can look up: 1\n" == said


def test_without_a_gateway_it_is_a_usage_error(excise):
    done = excise("verdicts")
    assert (2, True) == (done.returncode, "--directory" in done.stderr)
