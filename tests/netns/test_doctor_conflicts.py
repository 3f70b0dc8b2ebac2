"""The doctor beside real programs, in namespaces: what it finds and what it says of them.

ufw, iptables (nft and legacy), nft and tc run here. Docker and firewalld are too large to install:
their rulesets were recorded from them, fail2ban's from its own action file. Flowtables are read
from made answers (tests/unit/doctor/test_ruleset.py) where the kernel has none.
"""

import ctypes
import json
import os
import platform
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.netns

RULESETS = Path(__file__).parents[1] / "samples" / "rulesets"


@pytest.fixture
def doctor(namespace, tmp_path):
    """Run the doctor in the namespace; return its checks as {name: [(state, text)]}."""
    config = tmp_path / "excise.yaml"
    config.write_text(f"ports: [443]\napi: {{socket: {tmp_path}/none.sock}}\n")

    def run():
        command = [sys.executable, "-m", "excise", "doctor", "--json", "--config", str(config)]
        found = {}
        for check in json.loads(namespace.run(*command, check=False).stdout)["checks"]:
            found.setdefault(check["name"], []).append((check["state"], check["text"]))
        return found

    return run


def conflicts(checks):
    """Return the names of what the doctor warns of in the kernel."""
    own = {"configuration", "rules", "input", "state directory", "kernel", "clock", "daemon"}
    own |= {"listeners"}  # nobody serves in the namespace
    return {n for n, said in checks.items() if n not in own and {"ok"} != {s for s, _ in said}}


def only(checks, name):
    ((state, text),) = checks[name]
    return state, text


@pytest.mark.parametrize(
    ("ruleset", "name", "warned"),
    [
        ("docker", "Docker", set()),
        ("firewalld", "firewalld", set()),  # it accepts 443, so nothing is in the way
        ("fail2ban", "fail2ban", {"service ports"}),
        ("crowdsec", "CrowdSec", set()),
    ],
)
def test_a_recorded_firewall_is_known(namespace, doctor, ruleset, name, warned):
    namespace.nft("-f", str(RULESETS / f"{ruleset}.nft"))
    checks = doctor()
    state, text = only(checks, "other firewalls")

    assert ("ok", True) == (state, text.startswith(f"{name}: "))
    assert warned == conflicts(checks)


def need(program):
    if not shutil.which(program):
        pytest.skip(f"needs {program}")


def test_ufw_itself_is_known_and_must_open_the_port(namespace, doctor, tmp_path):
    need("ufw")
    shutil.copytree("/etc/ufw", tmp_path / "ufw")

    def ufw(*words):
        # its configuration is this test's alone: bound over the host's in a mount namespace
        script = f"mount --bind {tmp_path}/ufw /etc/ufw && exec ufw {' '.join(words)}"
        return namespace.run("unshare", "--mount", "sh", "-c", script)

    ufw("--force", "enable")
    checks = doctor()
    assert "ufw: " in only(checks, "other firewalls")[1]
    assert {"warn"} == {state for state, _ in checks["service ports"]}
    assert all("none names port 443" in text for _, text in checks["service ports"])
    ufw("allow", "443/tcp")
    assert "service ports" not in doctor()


def test_iptables_on_nft_that_shuts_our_port_is_named(namespace, doctor):
    need("iptables")
    namespace.run("iptables-nft", "-A", "INPUT", "-p", "tcp", "--dport", "443", "-j", "REJECT")
    namespace.run(
        *[
            "iptables-nft",
            "-A",
            "INPUT",
            "-p",
            "tcp",
            "-m",
            "multiport",
            "--dports",
            "80,443",
            "-j",
            "DROP",
        ],
    )
    texts = [text for _, text in doctor()["service ports"]]

    assert ["rejects", "drops"] == [text.split("a rule ")[1].split()[0] for text in texts]
    assert all(text.startswith("table ip filter, chain INPUT: ") for text in texts)


def test_iptables_legacy_which_nft_does_not_list_is_named(namespace, doctor):
    need("iptables-legacy")
    made = namespace.run("iptables-legacy", "-A", "INPUT", "-j", "ACCEPT", check=False)
    if made.returncode:
        pytest.skip(f"this kernel has no iptables-legacy: {made.stderr.strip()}")

    state, text = only(doctor(), "iptables-legacy")
    assert ("warn", True) == (state, "the tables filter of iptables-legacy are in use" in text)


def test_chains_before_ours_and_sets_of_ports_are_read(namespace, doctor):
    namespace.nft(
        "-f",
        "-",
        stdin="table inet early {\n"
        "  chain first { type filter hook prerouting priority -400;"
        " tcp dport { 80, 400-443 } drop; }\n"
        "  chain later { type filter hook prerouting priority -300; }\n"
        "}\n",
    )
    checks = doctor()
    assert "first (prerouting -400) runs before" in only(checks, "earlier chains")[1]
    assert "chain first: a rule drops" in only(checks, "service ports")[1]


def test_a_flowtable_is_named(namespace, doctor):
    namespace.ip("link", "add", "v0", "type", "veth", "peer", "name", "v1")
    made = namespace.run(
        "nft",
        "table inet fw { flowtable ft { hook ingress priority 0; devices = { v0 }; }; }",
        check=False,
    )
    if made.returncode:
        pytest.skip(f"this kernel has no flowtables: {made.stderr.splitlines()[0]}")

    assert "offloads connections to flowtable ft on v0" in only(doctor(), "flowtables")[1]


def test_ingress_chains_tc_filters_queues_and_cilium_s_devices_are_named(namespace, doctor):
    for name in ("v0", "cilium_host"):
        namespace.ip("link", "add", name, "type", "veth", "peer", "name", f"{name[:8]}-peer")
    namespace.nft(
        "add table netdev nd;"
        " add chain netdev nd c { type filter hook ingress device v0 priority -500; }"
    )
    namespace.run("tc", "qdisc", "add", "dev", "v0", "clsact")
    namespace.run(
        *["tc", "filter", "add", "dev", "v0", "ingress", "bpf", "bytecode"], "1,6 0 0 4294967295,"
    )
    namespace.run(*["tc", "qdisc", "add", "dev", "v0", "root", "htb"])
    checks = doctor()

    assert {"earlier chains", "tc filters", "eBPF datapath"} == conflicts(checks)
    assert "ingress filters on v0 (bpf) run before excise" in only(checks, "tc filters")[1]
    assert "table netdev nd: c (ingress -500)" in only(checks, "earlier chains")[1]
    assert "v0 (htb)" in only(checks, "tc qdiscs")[1]
    assert "cilium_host" in only(checks, "eBPF datapath")[1]


BPF_CALL = {"x86_64": 321, "aarch64": 280}  # __NR_bpf
BPF_PROG_LOAD, BPF_PROG_TYPE_XDP = 5, 6  # linux/bpf.h
#: r0 = XDP_PASS; exit
PASS = struct.pack("<BBhi", 0xB7, 0, 0, 2) + struct.pack("<BBhi", 0x95, 0, 0, 0)
ATTACH = """
import sys
from pyroute2 import IPRoute
with IPRoute() as route:
    (index,) = route.link_lookup(ifname="v0")
    route.link("set", index=index, xdp_fd=int(sys.argv[1]))
"""


def load_program():
    """Load an XDP program that passes everything; return its descriptor."""
    number = BPF_CALL.get(platform.machine())
    if number is None:
        pytest.skip(f"the number of bpf(2) is not known for {platform.machine()}")
    code, licence = ctypes.create_string_buffer(PASS), ctypes.create_string_buffer(b"GPL")
    # union bpf_attr: prog_type, insn_cnt, insns, license, log_level, log_size, log_buf, ...
    asked = struct.pack(
        "=IIQQIIQII", BPF_PROG_TYPE_XDP, 2, ctypes.addressof(code), ctypes.addressof(licence),
        0, 0, 0, 0, 0,
    )  # fmt: skip
    buffer = ctypes.create_string_buffer(asked)
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.syscall(number, BPF_PROG_LOAD, buffer, len(asked))
    if descriptor < 0:
        pytest.skip(f"no XDP program can be loaded here: {os.strerror(ctypes.get_errno())}")
    return descriptor


def test_an_xdp_program_is_named(namespace, doctor):
    namespace.ip("link", "add", "v0", "type", "veth", "peer", "name", "v1")
    descriptor = load_program()
    try:
        attached = subprocess.run(
            namespace.command(sys.executable, "-c", ATTACH, str(descriptor)),
            pass_fds=[descriptor],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        os.close(descriptor)
    assert "" == attached.stderr
    state, text = only(doctor(), "XDP")
    assert ("warn", True) == (state, "a program on v0 sees packets first" in text)
