"""`excise doctor` on a host of its own: a network namespace, a configuration, a daemon."""

import json
import os
import subprocess
import sys

import msgspec
import pytest

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(os.geteuid() != 0, reason="takes root to make a network namespace"),
]


@pytest.fixture
def doctor(tmp_path, served):
    """Run the doctor in a fresh network namespace; return (status, checks by name, text)."""
    (tmp_path / "excise.log").touch()
    (tmp_path / "state").mkdir(exist_ok=True)
    config = tmp_path / "excise.yaml"
    config.write_text(
        f"inputs: [{{file: {tmp_path}/excise.log, format: record}}]\n"
        f"state: {tmp_path}/state\napi: {{socket: {served.socket_path}}}\n"
    )

    def run(*arguments, before="true", within="", **replace):
        for old, new in replace.items():
            config.write_text(config.read_text().replace(old, new))
        command = f'{before} && exec {within} "$0" -m excise doctor --config {config} "$@"'
        done = subprocess.run(
            ["unshare", "--net", "sh", "-c", command, sys.executable, *arguments],
            capture_output=True,
            check=False,
            text=True,
            timeout=100,
        )
        assert "" == done.stderr
        return done.returncode, done.stdout

    return run


def test_a_sound_host_passes(doctor):
    status, text = doctor("--json")
    report = json.loads(text)
    states = {check["name"]: check["state"] for check in report["checks"]}
    assert (0, True) == (status, report["healthy"])
    states.pop("clock")  # whether this machine's clock is synchronised is not ours to say
    states.pop("listeners")  # nobody serves in a namespace just made
    assert {"ok"} == set(states.values())
    assert {"nftables", "own table", "other firewalls", "daemon", "rules"} <= set(states)


def test_a_foreign_table_of_our_name_fails(doctor):
    status, text = doctor(before="nft add table ip excise")
    assert 1 == status
    assert "fail  own table: a table excise was not made by excise\n      → look at it" in text


def test_a_firewall_beside_it_is_named(doctor):
    _, text = doctor(before="nft add table inet firewalld")
    assert "ok    other firewalls: firewalld: " in text


def test_a_daemon_that_is_not_ready_fails(doctor, served):
    served.control.reasons = ["no input can be read"]
    status, text = doctor()
    assert (1, True) == (status, "fail  daemon: no input can be read\n" in text)


def test_a_broken_configuration_fails_and_the_rest_is_looked_at(doctor):
    status, text = doctor(api="apy")
    assert 1 == status
    assert "fail  configuration: " in text
    assert "ok    kernel: " in text


def test_without_the_privilege_it_says_what_to_do(doctor):
    status, text = doctor(within="setpriv --bounding-set -net_admin --inh-caps -net_admin")
    assert 1 == status
    assert "fail  nftables: " in text
    assert "CAP_NET_ADMIN" in text


def test_the_rules_for_iptables_are_shell_lines_and_so_is_their_removal(doctor):
    status, text = doctor("--iptables")
    assert (0, True) == (status, "-A excise-in -i lo -j RETURN\n" in text)
    _, undone = doctor("--iptables", "--undo")
    assert "iptables -w -t raw -X excise-in" in undone


def test_where_ipset_is_used_its_rules_are_looked_at(doctor):
    status, text = doctor(inputs="enforcer: ipset\nposture: enforce\ninputs")
    assert (1, True) == (status, "fail  iptables rules: 69 sets are not there yet" in text)


def test_peers_that_look_like_proxies_fail(doctor, served):
    served.control.engine.doubt = "3 addresses carry 98% of requests"
    status, text = doctor()
    assert 1 == status
    assert "fail  daemon: the real-IP set-up seems to be wrong: 3 addresses carry 98%" in text
    assert "confirm_peers: true" in text


def test_what_was_sampled_is_told_in_numbers_for_programs(doctor, tmp_path):
    line = '{"ts": 1767571200, "client": "203.0.113.7", "account": "acct-x", "output_tokens": 9}\n'
    (tmp_path / "excise.log").write_text(line * 3 + "\x1b[2Jnonsense\n")
    _, text = doctor("--json")
    (sample,) = json.loads(text)["samples"]
    expected = {"lines": 4, "records": 3, "rejects": {"binary": 1}, "answered": 3, "problem": ""}
    assert expected == {name: sample[name] for name in expected}
    assert (1.0, 0.0) == (sample["filled"]["account"], sample["filled"]["tls"])
    assert [] == [word for word in ("203.0.113", "acct-x", "nonsense") if word in text]


def test_a_log_without_a_request_in_it_fails(doctor, tmp_path):
    (tmp_path / "excise.log").write_text("\x1b[2Jnonsense\n" * 9)
    status, text = doctor()
    assert 1 == status
    assert "format record, 0 requests of the last 9 lines; rejected: binary 9" in text
    assert "\x1b[2J" not in text


def test_of_what_only_comes_once_it_is_told_what_the_daemon_heard(doctor, tmp_path, served):
    (heard,) = served.control.inputs()
    served.control.inputs = lambda: [msgspec.structs.replace(heard, name="stdin")]
    _, text = doctor(**{f"{{file: {tmp_path}/excise.log, format: record}}": "{stdin: true}"})
    assert "ok    sample: stdin: not looked at: its lines can only be seen when they come" in text
    expected = (
        "stdin: 12,345 requests of 12,350 lines since its start; rejected: no-ts 4, not-json 1"
    )
    assert f"ok    heard: {expected}\n" in text
