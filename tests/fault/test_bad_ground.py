"""What excise stands on gives way: rules, state, disk, kernel. It says so, and loses nothing."""

import json
import os
import shutil
import signal
import socket
from contextlib import suppress

import pytest

TYPO = ("weight: 60", "wieght: 60")
NOT_ROOT = os.geteuid() != 0


def fill(path):
    """Write to a file until its disk is full."""
    with open(path, "wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("posture: enforce\nprots: [443]\n", "2:1", "did you mean 'ports'?"),
        ("ports: [443, https]\n", "1:14", "ports"),
        ("inputs:\n  - file: 7\n", "2:11", "put it in quotes"),
        ("never_block: [192.0.2.1/24]\n", "1:15", "192.0.2.0/24"),
        ("posture: [\n", "2:1", "not valid YAML"),
        ("posture: \x1b[2J\n", "1:10", "a character that YAML does not allow"),
    ],
)
def test_a_wrong_configuration_is_fatal_at_start_and_says_where(excise, text, place, said):
    host = excise()
    host.file.write_text(text)

    status, line = host.fail_to_start()

    assert status == 5
    assert f"{host.file}:{place}: " in line
    assert said in line
    assert line.isprintable()


def test_a_rule_with_a_typo_is_fatal_at_start_and_refused_at_reload(excise, requests):
    host = excise()
    host.write_rule("volume", *TYPO)
    place = f"{host.rule('volume')}:6:1: "

    status, line = host.fail_to_start()

    assert status == 5
    assert f"{place}unknown key 'wieght' (did you mean 'weight'?" in line

    host.write_rule("volume")
    host.start()
    host.write_rule("volume", *TYPO)
    done = host("reload")

    assert done.returncode == 5
    assert place in done.stderr.decode() + done.stdout.decode()
    assert place in host.logged("reload.refused")[-1]["errors"][0]

    # The last good set goes on.
    host.append(*requests(30))
    host.wait_for_lines(30)
    (decision,) = host.ask("decisions")["decisions"]
    assert ["shape.many", "volume.many"] == sorted(decision["rules"])


def test_a_socket_left_by_a_crash_is_replaced(excise):
    host = excise()
    host.start()
    assert host.end(signal.SIGKILL) == -signal.SIGKILL
    assert host.socket.is_socket()
    assert host("status").returncode == 3

    host.start()

    assert host("status").returncode == 0


def test_a_second_daemon_is_refused_and_the_first_goes_on(excise):
    host = excise()
    host.append(b"x")
    host.start()

    status, line = host.fail_to_start()

    assert status == 1
    assert f"in use by process {host.process.pid}" in line
    host.configure(state=str(host.root / "other"))
    status, line = host.fail_to_start()
    assert status == 1
    assert f"already runs as process {host.process.pid}" in line
    assert 1 == host.input()["lines"]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"state": "{file}"}, "something else is there"),
        ({"state": "/proc/1/state"}, "create it for the user that runs excise"),
        ({"api": {"socket": "{file}"}}, "something else is there"),
        ({"api": {"socket": "/proc/1/control.sock"}}, "control socket /proc/1/control.sock"),
    ],
)
def test_a_place_that_cannot_be_used_is_named(excise, tmp_path, keys, said):
    (tmp_path / "file").touch()
    text = json.dumps(keys).replace("{file}", str(tmp_path / "file"))

    status, line = excise(**json.loads(text)).fail_to_start()

    assert status in {1, 5}
    assert said in line


def test_a_port_in_use_is_named_with_what_to_do(excise):
    with socket.create_server(("127.0.0.1", 0)) as other:
        where = f"127.0.0.1:{other.getsockname()[1]}"
        host = excise()
        host.configure(api={"socket": str(host.socket), "listen": where})
        status, line = host.fail_to_start()

    assert status == 5
    assert f"api.listen {where}: Address already in use (set another port" in line
    assert not host.socket.exists()


def test_damaged_state_is_set_aside_with_an_alarm_and_the_log_is_read_on(excise, requests):
    host = excise()
    host.append(*requests(30))
    host.start()
    host.wait_for_lines(30)
    assert host.end() == 0
    for name in ("excise.db", "engine.snapshot"):
        path = host.state / name
        whole = path.read_bytes()
        path.write_bytes(whole[:100] + b"\0\xff" * 50 + whole[200 : len(whole) // 2])
    host.append(*requests(30, start=1_750_000_100.0))

    host.start()

    assert 60 == host.wait_for_lines(60)["records"]
    assert {"store-damaged", "restored-less"} <= set(host.alarms())
    assert len(list(host.state.glob("excise.db.damaged-*"))) == 1
    assert ["203.0.113.7/32"] == [d["target"] for d in host.ask("decisions")["decisions"]]


def test_a_log_that_cannot_be_read_is_blind_until_it_can(excise, requests):
    host = excise()
    host.log.mkdir()
    host.start()
    host.wait_for(lambda: host.input()["state"] == "blind")
    assert "no regular file" in host.input()["problem"]
    assert "is blind" in host.status()["not_ready"][0]
    assert host.alarms().count("input-blind") == 1

    host.log.rmdir()
    host.append(*requests(3))
    assert 3 == host.wait_for_lines(3)["records"]

    # Gone and made anew: nothing that was written is missed.
    host.log.unlink()
    host.append(*requests(4, start=1_750_000_100.0))
    seen = host.wait_for_lines(7)
    assert (7, "") == (seen["records"], seen["problem"])


@pytest.mark.skipif(
    NOT_ROOT or shutil.which("setpriv") is None,
    reason="takes root and setpriv(1): root itself may read anything",
)
def test_a_log_without_the_right_to_read_it_says_so(excise, tmp_path, requests):
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(0o755)
    inside = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    host = excise(inside)
    host.append(*requests(3))
    host.log.chmod(0)
    os.chown(host.log, 65534, 65534)

    host.start()

    host.wait_for(lambda: host.input()["state"] == "blind")
    assert "give the user that runs excise the right to read it" in host.input()["problem"]
    host.log.chmod(0o644)
    assert 3 == host.wait_for_lines(3)["records"]
    assert host.alarms()[-1] == "input-recovered"


@pytest.mark.skipif(
    NOT_ROOT or shutil.which("unshare") is None,
    reason="takes root and unshare(1): it mounts a small disk where only the daemon sees it",
)
def test_a_full_disk_stops_no_decision_and_all_is_stored_later(excise, tmp_path, requests):
    state = tmp_path / "host" / "state"
    mount = f'mount -t tmpfs -o size=8m excise-test {state} && exec "$@"'
    host = excise(["unshare", "--mount", "sh", "-c", mount, "sh"])
    state.mkdir()
    # Only the daemon's own start sees the disk: the verbs need no namespace.
    host.start()
    host.inside = []
    disk = f"/proc/{host.process.pid}/root{state}"
    fill(f"{disk}/filler")

    for n in range(40):
        host.append(*requests(30, client=f"198.51.100.{n}", start=1_750_000_000.0 + 30 * n))

    assert 1200 == host.wait_for_lines(1200)["records"]
    made = {(d["id"], d["action"]) for d in host.ask("decisions")["decisions"]}
    assert len(made) >= 40
    host.wait_for(lambda: "store-failed" in host.alarms())
    assert any("store:" in reason for reason in host.status()["not_ready"])

    os.unlink(f"{disk}/filler")
    host.wait_for(lambda: "store-recovered" in host.alarms())
    copy = tmp_path / "copy"
    host.wait_for(lambda: host.status()["not_ready"] == [])
    host.process.send_signal(signal.SIGSTOP)
    shutil.copytree(disk, copy)
    host.process.send_signal(signal.SIGCONT)
    assert host.end() == 0

    # What a next start finds on the disk.
    host.configure(state=str(copy))
    host.start()
    assert made == {(d["id"], d["action"]) for d in host.ask("decisions")["decisions"]}
    assert 0 == host.input()["lines"]
