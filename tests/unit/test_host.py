import sys
from pathlib import Path

import pytest

from excise import host
from excise.host import (
    Places,
    canonical,
    discover,
    resolvers,
    ssh_connection,
    ssh_peers,
    ssh_ports,
)

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"


def tcp_line(local, port, remote, state):
    return f"   0: {local}:{port:04X} {remote}:C350 {state} 00000000:00000000 00:00000000 0 0\n"


def v4(text):
    return int.from_bytes(bytes(map(int, text.split("."))), sys.byteorder)


@pytest.fixture
def proc_net(tmp_path):
    own, peer, other = (f"{v4(a):08X}" for a in ("192.0.2.1", "198.51.100.9", "203.0.113.4"))
    (tmp_path / "tcp").write_text(
        HEAD
        + tcp_line(own, 22, peer, "01")
        + tcp_line(own, 443, other, "01")
        + tcp_line(own, 22, other, "06")
        + tcp_line(own, 22, "00000000", "0A")
    )
    words = [bytes.fromhex("20010db8"), bytes(4), bytes(4), bytes.fromhex("00000007")]
    peer6 = "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)
    (tmp_path / "tcp6").write_text(HEAD + tcp_line("0" * 32, 2222, peer6, "01"))
    return tmp_path


@pytest.mark.parametrize(
    ("ports", "peers"),
    [
        ({22}, {"198.51.100.9"}),
        ({2222}, {"2001:db8::7"}),
        ({22, 2222}, {"198.51.100.9", "2001:db8::7"}),
    ],
)
def test_peers_of_established_ssh_sessions_are_found(proc_net, ports, peers):
    assert ssh_peers(proc_net, ports) == peers


def test_a_host_without_ipv6_has_no_second_table(proc_net):
    (proc_net / "tcp6").unlink()

    assert ssh_peers(proc_net, {22}) == {"198.51.100.9"}


def test_the_ports_of_sshd_are_read_with_their_drop_ins(tmp_path):
    (tmp_path / "sshd_config").write_text("#Port 1\nPort 2200 # moved\nPermitRootLogin no\n")
    (tmp_path / "sshd_config.d").mkdir()
    (tmp_path / "sshd_config.d" / "extra.conf").write_text("port 2201\n")

    assert ssh_ports(tmp_path / "sshd_config") == {2200, 2201}


def test_an_sshd_that_says_nothing_listens_on_22(tmp_path):
    assert ssh_ports(tmp_path / "absent") == {22}


def test_resolvers_are_read(tmp_path):
    path = tmp_path / "resolv.conf"
    path.write_text("# nameserver 192.0.2.99\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n")

    assert resolvers(path) == {"192.0.2.53", "2001:db8::53"}
    assert resolvers(tmp_path / "absent") == set()


@pytest.mark.parametrize(
    ("variable", "expected"),
    [("192.0.2.5 50000 192.0.2.1 22", {"192.0.2.5"}), ("", set()), ("odd", set())],
)
def test_the_session_that_started_us_is_found(variable, expected):
    assert ssh_connection(variable) == expected


def test_addresses_become_networks_and_what_protects_nothing_is_left_out():
    found = ["192.0.2.1", "2001:db8::1", "fe80::1%eth0", "::ffff:192.0.2.8", "127.0.0.1", "::", "x"]

    assert canonical(found) == {"192.0.2.1/32", "2001:db8::1/128", "fe80::1/128", "192.0.2.8/32"}


def test_one_blind_spot_does_not_hide_the_others(tmp_path, proc_net, monkeypatch):
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.5 50000 192.0.2.1 22")
    unreadable = tmp_path / "resolv.conf"
    unreadable.mkdir()

    findings = discover(Places(unreadable, proc_net, Path("/nonexistent")))

    assert {"198.51.100.9/32", "192.0.2.5/32"} <= set(findings.cidrs)
    assert len(findings.problems) == 1


def test_own_addresses_alone_can_be_asked_for(proc_net, monkeypatch):
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.5 50000 192.0.2.1 22")
    monkeypatch.setattr(host, "own_addresses", lambda: {"192.0.2.1"})
    monkeypatch.setattr(host, "gateways", lambda: {"192.0.2.254"})

    findings = discover(Places(proc_net / "none", proc_net, proc_net / "none"), own_only=True)

    assert host.Findings(("192.0.2.1/32",), ()) == findings
