"""Who else rules over packets: from values. Real programs and rulesets are in tests/netns."""

import pytest

from excise.config import Backend
from excise.doctor.check import State
from excise.doctor.firewalls import FIREWALLS, check_tables
from excise.doctor.ruleset import Chain, PortRule, Table
from excise.errors import PrivilegeError


def checks_of(*tables, ports=(443,)):
    return list(check_tables(Backend.NFTABLES, lambda: list(tables), ports))


def named(name, checks):
    return [check for check in checks if check.name == name]


def test_an_empty_ruleset_is_fine():
    checks = {check.name: check for check in checks_of()}
    assert {State.OK} == {check.state for check in checks.values()}
    assert ("will be made", "none found") == (
        checks["own table"].text,
        checks["other firewalls"].text,
    )


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (Table("ip", "excise"), (State.FAIL, "a table excise was not made by excise")),
        (Table("ip6", "excise"), (State.FAIL, "a table excise was not made by excise")),
        (Table("ip", "excise", ours=True), (State.OK, "in place")),
        (Table("inet", "excise"), (State.OK, "will be made")),  # another namespace of names
    ],
)
def test_a_table_of_our_name_is_ours_or_fails(table, expected):
    (check,) = named("own table", checks_of(table))
    assert expected == (check.state, check.text)


@pytest.mark.parametrize(
    ("table", "firewall"),
    [
        (Table("inet", "firewalld"), "firewalld"),
        (Table("ip", "filter", chains=(Chain("ufw-user-input"),)), "ufw"),
        (Table("ip", "nat", chains=(Chain("DOCKER"),)), "Docker"),
        (Table("inet", "f2b-table"), "fail2ban"),
        (Table("ip6", "crowdsec6"), "CrowdSec"),
        (Table("ip", "raw", chains=(Chain("CILIUM_PRE_raw"),)), "Cilium"),
        (Table("ip", "nat", chains=(Chain("KUBE-SERVICES"),)), "Kubernetes"),
    ],
)
def test_a_firewall_is_named_with_what_it_means_and_what_to_do(table, firewall):
    (check,) = named("other firewalls", checks_of(table, Table("inet", "mine")))
    (known,) = [f for f in FIREWALLS if f.name == firewall]
    assert (State.OK, f"{firewall}: {known.means}", known.advice) == (
        check.state,
        check.text,
        check.advice,
    )


def test_every_firewall_comes_with_advice():
    assert [] == [f.name for f in FIREWALLS if not f.advice]


@pytest.mark.parametrize(
    ("family", "chain", "expected"),
    [
        ("inet", Chain("c", "prerouting", -400), True),
        ("ip", Chain("c", "prerouting", -311), True),
        ("ip", Chain("c", "prerouting", -310), False),
        ("ip6", Chain("raw", "prerouting", -300), False),
        ("inet", Chain("c", "input", -400), False),
        ("netdev", Chain("c", "ingress", 0), True),
        ("netdev", Chain("c", "egress", -500), False),
        ("inet", Chain("c", "ingress", 0), True),
        ("bridge", Chain("c", "prerouting", -400), False),
        ("inet", Chain("called"), False),
    ],
)
def test_who_looks_before_us_is_named(family, chain, expected):
    found = named("earlier chains", checks_of(Table(family, "t", chains=(chain,))))
    assert expected == bool(found)
    assert all(f"nft list table {family} t" in check.advice for check in found)


def test_our_own_chains_are_nobodys_conflict():
    ours = Table("ip", "excise", ours=True, chains=(Chain("pre", "prerouting", -999, drops=True),))
    assert [] == [check for check in checks_of(ours) if check.state is not State.OK]


def test_offloaded_connections_are_told():
    (check,) = named("flowtables", checks_of(Table("inet", "fw", flowtables=(("f", ("eth0",)),))))
    assert State.WARN is check.state
    assert check.text.startswith("table inet fw offloads connections to flowtable f on eth0")


def rule(verdict, *ports):
    return PortRule("input", frozenset(ports), verdict)


@pytest.mark.parametrize(
    ("rules", "drops", "expected"),
    [
        ((rule("accept", 443),), False, []),
        ((rule("accept", 443),), True, []),
        ((rule("drop", 443),), False, ["a rule drops some or all of what goes to port 443"]),
        ((rule("reject", 443),), True, ["a rule rejects some or all of what goes to port 443"]),
        ((rule("drop", 22),), False, []),
        ((rule("accept", 22),), True, ["drops what no rule accepts, and none names port 443"]),
        ((), False, []),
    ],
)
def test_who_decides_on_our_ports_is_named(rules, drops, expected):
    table = Table("ip", "filter", chains=(Chain("input", "input", 0, drops),), rules=rules)
    found = [check.text for check in named("service ports", checks_of(table))]
    assert len(expected) == len(found)
    assert all(part in text for part, text in zip(expected, found, strict=True))


@pytest.mark.parametrize(
    ("backend", "expected"), [(Backend.NFTABLES, State.FAIL), (Backend.DRY_RUN, State.WARN)]
)
def test_without_the_privilege_only_who_needs_it_fails(backend, expected):
    def refuse():
        raise PrivilegeError("operation not permitted")

    (check,) = check_tables(backend, refuse, (443,))
    assert (expected, "operation not permitted") == (check.state, check.text)
