"""The daemon as a process: how it starts, what it says when it cannot, how it stops."""

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from excise.daemon.statedir import StateDirectory

WAIT_S = 30.0
#: prctl(2): refuse memory that was writable to become executable (linux/prctl.h, since 6.3)
PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1


@pytest.fixture
def configure(tmp_path):
    """Write a configuration; return its path. Keywords are further keys."""

    def write(**keys):
        (tmp_path / "rules").mkdir(exist_ok=True)
        defaults = {
            "posture": "observe",
            "enforcer": "dry-run",
            "inputs": [{"file": str(tmp_path / "log"), "format": "record"}],
            "rules": [str(tmp_path / "rules")],
            "state": str(tmp_path / "state"),
            "api": {"socket": str(tmp_path / "control.sock")},
        }
        path = tmp_path / "excise.yaml"
        path.write_text(json.dumps(defaults | keys))
        return path

    return write


def command(path, *more):
    return [sys.executable, "-m", "excise", "run", "--config", str(path), *more]


def start_and_fail(path, *, wrapper=()):
    """Start a daemon that cannot; return its exit status and what it said."""
    done = subprocess.run(
        [*wrapper, *command(path)], capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    assert "Traceback" not in done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("excise: ")]
    assert len(said) == 1, done.stderr
    return done.returncode, said[0]


def test_an_invalid_configuration_is_one_line_that_says_where(configure):
    path = configure(postur="observe")

    status, said = start_and_fail(path)

    assert status == 5
    assert f"{path}:1:" in said


def test_a_state_directory_in_use_is_refused_with_the_holder(configure, tmp_path):
    with StateDirectory(tmp_path / "state").locked():
        status, said = start_and_fail(configure())

    assert status == 1
    assert f"in use by process {os.getpid()}" in said


def test_a_control_socket_that_answers_is_refused(configure, tmp_path):
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "control.sock"))
        other.listen()
        status, said = start_and_fail(configure())

    assert status == 1
    assert "control.sock" in said


def test_a_port_in_use_is_refused(configure, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        api = {"socket": str(tmp_path / "control.sock"), "listen": f"127.0.0.1:{port}"}
        status, said = start_and_fail(configure(api=api))

    assert status != 0
    assert f"127.0.0.1:{port}" in said


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="takes root and setpriv(1), to give up rights",
)
def test_enforcing_without_the_right_says_how_to_get_it(configure):
    path = configure(posture="enforce", enforcer="nftables")

    status, said = start_and_fail(path, wrapper=["setpriv", "--bounding-set=-all"])

    assert status == 4
    assert "AmbientCapabilities=CAP_NET_ADMIN" in said
    assert "dry-run" in said


@pytest.fixture
def netns():
    if os.geteuid() != 0 or shutil.which("nft") is None:
        pytest.skip("takes root and nft(8): it makes a network namespace")
    name = f"excise-run-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    yield name
    subprocess.run(["ip", "netns", "del", name], check=True)


@pytest.mark.netns
def test_a_table_of_somebody_else_is_left_alone_and_named(configure, netns):
    inside = ["ip", "netns", "exec", netns]
    subprocess.run([*inside, "nft", "add", "table", "ip", "excise"], check=True)
    path = configure(posture="enforce", enforcer="nftables")

    status, said = start_and_fail(path, wrapper=inside)

    assert status == 1
    assert "table 'ip excise'" in said
    listed = subprocess.run(
        [*inside, "nft", "list", "tables"], check=True, capture_output=True, text=True
    )
    assert listed.stdout == "table ip excise\n"


class Running:
    """A daemon process, with the service manager's end of its notify socket."""

    def __init__(self, path, tmp_path):
        self.stderr = tmp_path / "stderr"
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(tmp_path / "notify"))
        self.manager.settimeout(WAIT_S)
        environment = os.environ | {
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "WATCHDOG_USEC": "400000",
        }
        with self.stderr.open("wb") as errors:
            self.process = subprocess.Popen(
                command(path),
                stderr=errors,
                env=environment,
                preexec_fn=forbid_exec_gain,  # noqa: PLW1509  # no threads here
            )

    def told(self, line):
        """Wait until the service manager is told a line."""
        while line not in self.manager.recv(4096).decode().splitlines():
            pass

    def logged(self, event, count=1):
        """Wait until an event was logged so often; return the last of them."""
        deadline = time.monotonic() + WAIT_S
        while len(found := self.found(event)) < count:
            assert self.process.poll() is None, self.stderr.read_text()
            assert time.monotonic() < deadline, self.stderr.read_text()
            time.sleep(0.005)
        return found[-1]

    def found(self, event):
        lines = self.stderr.read_text().splitlines()
        return [one for one in map(json.loads, lines) if one["event"] == event]

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(WAIT_S)
        self.manager.close()


def forbid_exec_gain():
    """As the unit does with MemoryDenyWriteExecute; older kernels do not know it."""
    ctypes.CDLL(None).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0)


@pytest.fixture
def running(configure, tmp_path):
    started = []

    def start(path):
        started.append(Running(path, tmp_path))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.mark.timeout(120)
def test_a_life_under_a_service_manager(configure, running, tmp_path):
    path = configure()
    daemon = running(path)

    # A log that is not there is no reason not to start: it is blind, with an alarm.
    daemon.told("READY=1")
    assert daemon.logged("alarm.raised")["code"] == "input-blind"
    daemon.told("WATCHDOG=1")

    # When the log appears it is read.
    (tmp_path / "log").write_text('{"ts": 1750000000, "client": "192.0.2.7"}\n')
    daemon.logged("alarm.raised", count=2)
    assert [one["code"] for one in daemon.found("alarm.raised")] == [
        "input-blind",
        "input-recovered",
    ]

    # A broken configuration changes nothing.
    path.write_text("posture: [")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.told("RELOADING=1")
    assert str(path) in daemon.logged("reload.refused")["errors"][0]
    daemon.told("READY=1")

    # A sound one does, and says what waits for a restart.
    configure(never_block=["198.51.100.0/24"], state=str(tmp_path / "elsewhere"))
    daemon.process.send_signal(signal.SIGHUP)
    assert daemon.logged("reload.applied")["restart"] == ["state"]

    daemon.process.send_signal(signal.SIGTERM)
    daemon.told("STOPPING=1")
    assert daemon.process.wait(WAIT_S) == 0
    assert not (tmp_path / "control.sock").exists()
    assert (tmp_path / "state/engine.snapshot").exists()
