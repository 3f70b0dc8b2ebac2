"""The kernel plane takes CAP_NET_ADMIN and nothing else; its tests take no right at all."""

import json
import os
import subprocess
import sys
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
