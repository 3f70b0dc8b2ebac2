"""What the kernel holds when tables are others', or what must not be blocked is forced."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("nft") is None,
        reason="takes root and nft(8): it makes a network namespace",
    ),
]
OWN = "198.51.100.1"


class Namespace:
    """A network namespace with an address of its own."""

    def __init__(self, name):
        self.inside = ["ip", "netns", "exec", name]

    def run(self, *words):
        done = subprocess.run(
            [*self.inside, *words], check=True, capture_output=True, text=True, timeout=30
        )
        return done.stdout

    def holds(self, name, family="ip"):
        """Return what a set of ours holds, in order."""
        listing = json.loads(self.run("nft", "-j", "list", "set", family, "excise", name))
        items = next(item["set"] for item in listing["nftables"] if "set" in item).get("elem", [])
        return sorted(map(as_text, items))


def as_text(item):
    value = item["elem"]["val"] if isinstance(item, dict) and "elem" in item else item
    if isinstance(value, dict) and "prefix" in value:
        return f"{value['prefix']['addr']}/{value['prefix']['len']}"
    return "-".join(value["range"]) if isinstance(value, dict) else value


@pytest.fixture
def netns():
    name = f"excise-bad-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    namespace = Namespace(name)
    namespace.run("ip", "link", "set", "lo", "up")
    namespace.run("ip", "address", "add", f"{OWN}/32", "dev", "lo")
    yield namespace
    subprocess.run(["ip", "netns", "del", name], check=True)


def test_a_table_of_somebody_else_stays_as_it_is(excise, netns):
    netns.run("nft", "add", "table", "ip6", "excise", "{ set mine { type ipv6_addr; } ; }")
    before = netns.run("nft", "list", "ruleset")
    host = excise(netns.inside, enforcer="nftables")

    status, line = host.fail_to_start()

    assert status == 1
    assert "ip6 excise" in line
    assert before == netns.run("nft", "list", "ruleset")

    # Observing needs no table, so it starts; enforcing is refused there too.
    host.configure(enforcer="nftables", posture="observe")
    host.start()
    done = host("posture", "enforce")
    assert done.returncode == 4
    assert "ip6 excise" in done.stderr.decode()
    assert before == netns.run("nft", "list", "ruleset")


def test_own_addresses_pass_though_the_operator_is_not_protected(excise, netns, requests):
    host = excise(netns.inside, enforcer="nftables", protect_operator=False)
    host.append(*requests(30, client=OWN, start=time.time() - 60))
    host.append(*requests(30, start=time.time() - 30))
    host.start()
    host.wait_for_lines(60)

    host.wait_for(lambda: netns.holds("block") == ["203.0.113.7"])

    assert OWN in netns.holds("allow")
    assert ["203.0.113.7/32"] == [d["target"] for d in host.ask("decisions")["decisions"]]
    refused = host("drop", OWN, "--reason", "test")
    assert refused.returncode == 4
    assert "this host" in refused.stderr.decode()


def test_what_is_forced_is_enforced_and_protection_comes_back_afterwards(excise, netns):
    host = excise(netns.inside, enforcer="nftables", never_block=["192.0.2.0/30", "2001:db8::/63"])
    host.append({"ts": time.time(), "client": "203.0.113.8"})
    host.start()
    host.wait_for_lines(1)

    # Without force it is refused, whether the kernel could do it or not.
    refused = host("drop", "192.0.2.1", "--reason", "test")
    assert refused.returncode == 4
    assert "192.0.2.0/30 (never_block)" in refused.stderr.decode()
    for target in ("127.0.0.1", "0.0.0.0/0"):
        assert host("drop", target, "--force", "--reason", "test").returncode == 4

    host.ask("drop", "192.0.2.1", "--force", "--reason", "test")
    made = host.ask("drop", "2001:db8::/64", "--force", "--reason", "test")
    assert made["forced"]
    assert ["192.0.2.1"] == netns.holds("block")
    assert ["2001:db8::"] == netns.holds("block_64", "ip6")
    assert ["127.0.0.0/8", "192.0.2.0", "192.0.2.2/31", OWN] == netns.holds("allow")
    assert ["2001:db8:0:1::/64", "::1"] == netns.holds("allow", "ip6")
    about = host.ask("explain", "192.0.2.1")
    assert (about["kind"], len(about["decisions"])) == ("client", 1)
    assert host.ask("explain", "2001:db8::5")["kind"] == "client"

    # So it is after a restart.
    assert host.end() == 0
    host.start()
    assert ["192.0.2.1"] == netns.holds("block")
    assert ["127.0.0.0/8", "192.0.2.0", "192.0.2.2/31", OWN] == netns.holds("allow")

    for target in ("192.0.2.1", "2001:db8::/64"):
        assert host("lift", target).returncode == 0
    assert [] == netns.holds("block")
    assert ["127.0.0.0/8", "192.0.2.0/30", OWN] == netns.holds("allow")
    assert ["2001:db8::/63", "::1"] == netns.holds("allow", "ip6")


def guarded(netns):
    """Whether both tables shut port 8000, in their rules too."""
    families = ("ip", "ip6")
    listings = [netns.run("nft", "list", "ruleset", family) for family in families]
    return all("@guarded goto shut" in listing for listing in listings) and all(
        [8000] == netns.holds("guarded", family) for family in families
    )


def test_a_guard_holds_while_observing_through_restarts_and_is_put_back(excise, netns):
    guard = {"ports": [8000], "allow": ["192.0.2.0/24"]}
    keys = {"enforcer": "nftables", "posture": "observe"}
    host = excise(netns.inside, **keys, guard=guard)
    host.start()
    assert guarded(netns)
    assert ["192.0.2.0/24"] == netns.holds("guard_allow")
    host.wait_for(lambda: OWN in netns.holds("allow"))

    for meddling in (
        "delete table ip excise",
        "flush ruleset",
        "flush chain ip6 excise shut",
        "insert rule ip excise pre accept",
        "delete element ip excise guarded { 8000 }",
    ):
        repaired = host.alarms().count("enforce-repaired")
        netns.run("nft", meddling)
        host.wait_for(lambda n=repaired: host.alarms().count("enforce-repaired") > n)
        assert guarded(netns)

    # Nobody is there for a while, and the port stays shut.
    host.end(signal.SIGKILL)
    assert guarded(netns)
    host.start()
    assert guarded(netns)

    host.configure(**keys, guard={"ports": [8001]})
    assert host("reload").returncode == 0
    host.wait_for(lambda: netns.holds("guarded") == [8001])
    host.configure(**keys)
    assert host("reload").returncode == 0
    host.wait_for(lambda: "guarded" not in netns.run("nft", "list", "ruleset"))
    assert host.end() == 0
    host.start()
    assert "" == netns.run("nft", "list", "ruleset")


def test_a_guard_can_be_put_up_by_a_reload_while_observing(excise, netns):
    host = excise(netns.inside, enforcer="nftables", posture="observe")
    host.start()
    assert "" == netns.run("nft", "list", "ruleset")
    host.configure(enforcer="nftables", posture="observe", guard={"ports": [8000]})
    assert host("reload").returncode == 0
    assert guarded(netns)


def test_an_interface_is_shaped_while_the_daemon_runs_and_given_back_afterwards(excise, netns):
    netns.run("ip", "link", "add", "wire0", "type", "veth", "peer", "name", "wire1")
    netns.run("ip", "link", "set", "wire0", "up")

    def root():
        return netns.run("tc", "qdisc", "show", "dev", "wire0").split()[1]

    host = excise(netns.inside, enforcer="nftables", nft={"shaping": ["wire0"]})
    host.start()
    host.ask("throttle", "203.0.113.7", "--tier", "slow", "--reason", "test")
    assert "htb" == root()
    assert "rate 409600bit" in netns.run("tc", "class", "show", "dev", "wire0")
    assert host.end() == 0
    assert "noqueue" == root()
    assert ["203.0.113.7"] == netns.holds("egr")

    host.start()
    assert "htb" == root()
    host.end(signal.SIGKILL)
    assert "htb" == root()
    host.configure(enforcer="nftables")
    host.start()
    assert "noqueue" == root()
    assert ["203.0.113.7"] == netns.holds("egr")
    assert host.end() == 0

    host.configure(enforcer="nftables", nft={"shaping": ["wire7"]})
    status, line = host.fail_to_start()
    assert status == 1
    assert "no interface wire7" in line


@pytest.mark.skipif(shutil.which("ipset") is None, reason="needs ipset and iptables")
def test_sets_that_no_rule_refers_to_are_told_until_the_rules_are_there(excise, netns):
    host = excise(netns.inside, enforcer="ipset")
    host.append({"ts": time.time(), "client": "203.0.113.8"})
    host.start()
    host.wait_for_lines(1)

    assert ["enforce-idle"] == [code for code in host.alarms() if code.startswith("enforce")]
    (reason,) = host.status()["not_ready"]
    assert reason.startswith("enforcer ipset: nothing is enforced until iptables refers to excise-")
    assert host.status()["enforcer"]["in_sync"]

    rules = host.root / "rules.sh"
    words = [sys.executable, "-m", "excise", "doctor", "--iptables", "--config", str(host.file)]
    rules.write_text(netns.run(*words))
    netns.run("sh", "-e", str(rules))
    host.wait_for(lambda: [] == host.status()["not_ready"])
    assert "enforce-met" in host.alarms()

    host.ask("drop", "203.0.113.0/24", "--reason", "test")
    host.ask("throttle", "198.51.100.9", "--reason", "test", "--tier", "slow")
    assert "203.0.113.0/24 timeout" in netns.run("ipset", "list", "excise4-block-net")
    assert "198.51.100.9 timeout" in netns.run("ipset", "list", "excise4-egr-51200")
    assert OWN in netns.run("ipset", "list", "excise4-allow")

    netns.run("ipset", "flush")  # what a firewall's restart may do
    host.wait_for(lambda: "203.0.113.0/24" in netns.run("ipset", "list", "excise4-block-net"))
    host.wait_for(lambda: OWN in netns.run("ipset", "list", "excise4-allow"))
    assert "enforce-repaired" in host.alarms()

    # So it is after a restart, and gone when all is lifted.
    assert host.end() == 0
    host.start()
    assert "203.0.113.0/24 timeout" in netns.run("ipset", "list", "excise4-block-net")
    assert [] == host.status()["not_ready"]
    assert host.end() == 0
    netns.run(*host.command("run", "--lift-all")[len(netns.inside) :])
    assert "timeout 3" not in netns.run("ipset", "save")
