"""The unit is sound, hardened, and starts what it says."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNIT = SYSTEMD / "excise.service"

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="takes systemd-analyze, Debian package systemd"
)


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def unit(tmp_path):
    """A copy of the unit that starts the excise of this virtual environment."""
    excise = Path(sys.executable).with_name("excise")
    copy = tmp_path / "excise.service"
    copy.write_text(UNIT.read_text().replace("/usr/bin/excise", str(excise)))
    return copy


@pytest.fixture
def verdicts(tmp_path):
    """The same of the unit that tells gateways."""
    excise = Path(sys.executable).with_name("excise")
    copy = tmp_path / "excise-verdicts.service"
    text = (SYSTEMD / "excise-verdicts.service").read_text()
    copy.write_text(text.replace("/usr/bin/excise", str(excise)))
    return copy


def settings():
    """Return (key, value) of every line that sets something."""
    lines = [line for line in UNIT.read_text().splitlines() if "=" in line and line[0] != "#"]
    return [tuple(line.split("=", 1)) for line in lines]


def test_the_unit_has_no_mistakes(unit):
    done = run("systemd-analyze", "verify", str(unit))

    assert (done.stderr, done.returncode) == ("", 0)


def test_the_unit_is_little_exposed(unit):
    done = run("systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit))

    assert done.returncode == 0, done.stdout


def test_the_unit_that_tells_gateways_has_no_mistakes(verdicts):
    done = run("systemd-analyze", "verify", str(verdicts))

    assert (done.stderr, done.returncode) == ("", 0)


def test_the_unit_that_tells_gateways_is_little_exposed(verdicts):
    done = run("systemd-analyze", "security", "--offline=true", "--threshold=20", str(verdicts))

    assert done.returncode == 0, done.stdout


def test_net_admin_is_the_only_capability():
    given = dict(settings())

    assert given["CapabilityBoundingSet"] == "CAP_NET_ADMIN"
    assert given["AmbientCapabilities"] == "CAP_NET_ADMIN"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Type", "notify"),
        ("ExecReload", "/bin/kill -HUP $MAINPID"),
        ("ExecStartPre", "/usr/bin/excise check --no-tests"),
        ("ExecStart", "/usr/bin/excise run"),
        ("SupplementaryGroups", "adm systemd-journal"),
        ("SystemCallFilter", "@chown"),
        ("StateDirectory", "excise"),
        ("RuntimeDirectory", "excise"),
    ],
)
def test_the_unit_says(key, value):
    assert (key, value) in settings()


def test_every_group_of_settings_says_why():
    groups = UNIT.read_text().split("\n\n")
    service = [g for g in groups if "=" in g and not g.startswith(("[Unit]", "[Install]"))]

    assert [] == [g for g in service if not g.removeprefix("[Service]\n").startswith("#")]


def test_the_kernel_knows_the_settings_that_are_shipped():
    lines = (SYSTEMD / "excise.sysctl").read_text().splitlines()
    keys = [line.partition("=")[0].strip() for line in lines if not line.startswith("#")]

    assert ["net.unix.max_dgram_qlen"] == keys
    assert Path("/proc/sys", *keys[0].split(".")).exists()


def test_the_user_can_be_made():
    done = run("systemd-sysusers", "--dry-run", str(SYSTEMD / "excise.sysusers"))

    assert done.returncode == 0, done.stderr


def test_the_directories_can_be_made(tmp_path):
    # Owners are looked up in the root given: it has to know the user.
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nexcise:x:0:0::/:/bin/false\n")
    (tmp_path / "etc/group").write_text("root:x:0:\nexcise:x:0:\n")

    done = run(
        "systemd-tmpfiles", "--create", f"--root={tmp_path}", str(SYSTEMD / "excise.tmpfiles")
    )

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "etc/excise/rules.d").is_dir()
    assert (tmp_path / "var/lib/excise").is_dir()
