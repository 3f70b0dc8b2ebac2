"""The kernel plane takes CAP_NET_ADMIN and nothing else; its tests take no right at all."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.netns

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "tests" / "netns" / "whole_plane.py"
UNPRIVILEGED = ROOT / ".ci" / "unprivileged"
NOBODY, NET_ADMIN = 65534, 1 << 12  # CAP_NET_ADMIN of linux/capability.h
ONLY_NET_ADMIN = [
    *("setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"),
    *(f"--{which}=-all,+net_admin" for which in ("inh-caps", "bounding-set", "ambient-caps")),
    "--no-new-privs",
]
SEEN = {
    "added": True,
    "added many": True,
    "renewed": True,
    "another rate": True,
    "lifted": True,
    "guarded": True,
    "counted": True,
    "healed a flush": True,
    "healed a chain": True,
    "healed a rule": True,
    "taken over": True,
    "owned": True,
    "nothing left": True,
}


def run(*argv):
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=110)


@pytest.fixture(scope="module")
def _readable_for_nobody():
    if os.geteuid() == 0:
        become = ("setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups")
        done = run(*become, sys.executable, "-c", "import excise.enforce.nft")
        if done.returncode:
            pytest.skip(f"user nobody cannot run what is in {ROOT}: {done.stderr.strip()[-200:]}")


@pytest.fixture(scope="module")
def _user_namespaces(_readable_for_nobody):
    done = run(UNPRIVILEGED, "nft", "list", "ruleset")
    if done.returncode:
        pytest.skip(f"no user namespace can be made here: {done.stderr.strip()[-200:]}")


@pytest.mark.usefixtures("_readable_for_nobody")
def test_the_whole_plane_runs_as_another_user_with_one_capability(namespace):
    done = run(*namespace.command(*ONLY_NET_ADMIN, sys.executable, str(PROGRAM)))

    assert (0, "") == (done.returncode, done.stderr)
    expected = {"uid": NOBODY, "capabilities": NET_ADMIN, "seen": SEEN}
    assert expected == json.loads(done.stdout)


CONFIGURATION = """\
posture: enforce
protect_operator: false
inputs: [{{file: {root}/log, format: record}}]
rules: [{rules}]
ports: [443]
state: {root}/state
api: {{socket: {root}/control.sock}}
"""


@contextmanager
def daemon(namespace):
    """Run the daemon in a namespace as nobody, with one capability; give its command line."""
    root = Path(tempfile.mkdtemp(prefix="excise-nobody-"))  # pytest's own is closed to others
    config = root / "excise.yaml"
    config.write_text(CONFIGURATION.format(root=root, rules=ROOT / "rules"))
    (root / "log").touch()
    for path in (root, root / "log", config):
        os.chown(path, NOBODY, NOBODY)

    def excise(verb, *argv):
        return (sys.executable, "-m", "excise", verb, *argv, "--config", str(config))

    with (root / "stderr").open("wb") as errors:
        command = namespace.command(*ONLY_NET_ADMIN, *excise("run"))
        process = subprocess.Popen(command, stderr=errors, cwd=root)
    try:
        wait(lambda: run(*excise("status")).returncode == 0, root / "stderr")
        yield process, lambda *words: run(*excise(*words))
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(root)


def wait(seen, errors=None):
    deadline = time.monotonic() + 20
    while not seen():
        assert time.monotonic() < deadline, errors.read_text() if errors else "not seen"


@pytest.mark.usefixtures("_readable_for_nobody")
def test_the_daemon_enforces_heals_and_ends_as_another_user_with_one_capability(namespace):
    def held():
        listed = namespace.run("nft", "list", "set", "ip", "excise", "block", check=False)
        return "203.0.113.7" in listed.stdout

    with daemon(namespace) as (process, excise):
        done = excise("drop", "203.0.113.7", "--reason", "a test")
        assert 0 == done.returncode, done.stderr
        wait(held)
        namespace.nft("flush ruleset")
        wait(held)
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(timeout=20)
        assert held()  # until its deadline


@pytest.mark.usefixtures("_user_namespaces")
def test_the_whole_plane_runs_in_a_namespace_that_an_ordinary_user_made():
    done = run(UNPRIVILEGED, sys.executable, str(PROGRAM))

    assert (0, "") == (done.returncode, done.stderr)
    assert SEEN == json.loads(done.stdout)["seen"]


@pytest.mark.usefixtures("_user_namespaces")
def test_the_ruleset_tests_hold_without_any_right():
    """They are skipped by none: everything that they need is there."""
    tests = ("tests/netns/test_nft_ruleset.py", "tests/netns/test_heal.py")
    done = run(UNPRIVILEGED, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)

    assert (0, "") == (done.returncode, done.stderr), done.stdout[-3000:]
    assert "passed" in done.stdout
    assert "skipped" not in done.stdout
