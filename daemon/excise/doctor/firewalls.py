"""Who else rules over packets here, what that means for excise, and what to do. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from excise.config import Backend
from excise.doctor.check import Check, State
from excise.doctor.ruleset import Chain, Table
from excise.enforce.nft_layout import TABLE
from excise.enforce.nft_rules import EARLY
from excise.errors import EnforceError

#: returns all tables, or raises EnforceError
Tables = Callable[[], list[Table]]


@dataclass(frozen=True, slots=True)
class Firewall:
    """A program known by the prefixes of its tables' or chains' names."""

    name: str
    prefixes: tuple[str, ...]
    means: str
    advice: str = ""


FIREWALLS = (
    Firewall(
        "Docker",
        ("docker",),
        "it forwards published ports after excise has looked at them, so drops and throttles work"
        " by the published port",
        "for a prompt reset on a drop name the container's own port in `ports` as well",
    ),
    Firewall(
        "firewalld",
        ("firewalld",),
        "its chains run after those of excise; a reload builds its own table anew and no other",
        "open the service there (firewall-cmd --add-service=https): excise opens nothing",
    ),
    Firewall(
        "ufw",
        ("ufw",),
        "its chains run after those of excise; a reload leaves other tables alone",
        "open the service there (ufw allow 443/tcp): excise opens nothing",
    ),
    Firewall(
        "fail2ban",
        ("f2b",),
        "it bans by itself, and what it bans stays banned when excise lifts it",
        "look there as well when somebody complains: fail2ban-client banned",
    ),
    Firewall(
        "CrowdSec",
        ("crowdsec",),
        "its bouncer drops by itself; what excise drops first, it no longer counts",
        "allow there too what `never_block` names (cscli allowlists); look: cscli decisions list",
    ),
    Firewall(
        "Cilium",
        ("cilium",),
        "its eBPF programs carry pods' packets past nftables",
        "see the check of network devices",
    ),
    Firewall(
        "Kubernetes",
        ("kube-",),
        "it forwards services to pods after excise has looked at them; behind a node port with"
        " externalTrafficPolicy: Cluster the source is another node",
        "set externalTrafficPolicy: Local, and list the nodes in `trusted_proxies`",
    ),
)


def check_tables(backend: Backend, tables: Tables, ports: Sequence[int]) -> Iterator[Check]:
    """Whether nftables answers, whether our table is ours, and who else is there."""
    try:
        held = tables()
    except EnforceError as error:
        needed = backend is Backend.NFTABLES
        advice = "run this as root; give the daemon CAP_NET_ADMIN"
        yield Check("nftables", State.FAIL if needed else State.WARN, str(error), advice)
        return
    yield Check("nftables", State.OK, f"answers; the ruleset has {len(held)} tables")
    yield _own_table(held)
    foreign = [table for table in held if not table.ours]
    yield from check_firewalls(foreign)
    yield from check_early(foreign)
    yield from check_flowtables(foreign)
    yield from check_ports(foreign, ports)


def _own_table(held: Iterable[Table]) -> Check:
    named = [table for table in held if table.name == TABLE and table.family in {"ip", "ip6"}]
    if any(not table.ours for table in named):
        text = f"a table {TABLE} was not made by excise"
        advice = "look at it (nft list tables), then rename or delete it: excise leaves it alone"
        return Check("own table", State.FAIL, text, advice)
    return Check("own table", State.OK, "in place" if named else "will be made")


def check_firewalls(foreign: Iterable[Table]) -> Iterator[Check]:
    """Name the programs that made tables or chains here."""
    names = {n.lower() for t in foreign for n in (t.name, *(c.name for c in t.chains))}
    found = [f for f in FIREWALLS if any(n.startswith(f.prefixes) for n in names)]
    for firewall in found:
        text = f"{firewall.name}: {firewall.means}"
        yield Check("other firewalls", State.OK, text, firewall.advice)
    if not found:
        yield Check("other firewalls", State.OK, "none found")


def check_early(foreign: Iterable[Table]) -> Iterator[Check]:
    """Whether somebody looks at packets before excise does."""
    for table in foreign:
        early = [chain for chain in table.chains if _runs_before_us(table, chain)]
        if early:
            said = ", ".join(f"{c.name} ({c.hook} {c.priority})" for c in early)
            yield Check(
                "earlier chains",
                State.WARN,
                f"table {table}: {said} runs before excise, which neither sees nor counts what is"
                " dropped, redirected or sent on there",
                f"look at it: nft list table {table}",
            )


def _runs_before_us(table: Table, chain: Chain) -> bool:
    if chain.hook == "ingress":
        return True
    routed = table.family in {"ip", "ip6", "inet"}
    return routed and chain.hook == "prerouting" and chain.priority < EARLY


def check_flowtables(foreign: Iterable[Table]) -> Iterator[Check]:
    """Whether established connections are forwarded past all chains."""
    for table in foreign:
        for name, devices in table.flowtables:
            on = f" on {', '.join(devices)}" if devices else ""
            yield Check(
                "flowtables",
                State.WARN,
                f"table {table} offloads connections to flowtable {name}{on}: once offloaded they"
                " pass no chain, so a drop or throttle of a forwarded service does not reach them",
                "leave the service's ports out of the rule with `flow add`",
            )


def check_ports(foreign: Iterable[Table], ports: Sequence[int]) -> Iterator[Check]:
    """Whether somebody else decides on our service ports."""
    wanted = frozenset(ports)
    for table in foreign:
        shut: set[int] = set()
        for rule in table.rules:
            hit = rule.ports & wanted
            if hit and rule.verdict != "accept":
                shut |= hit
                yield Check(
                    "service ports",
                    State.WARN,
                    f"table {table}, chain {rule.chain}: a rule {rule.verdict}s some or all of"
                    f" what goes to port {_list(hit)}, whatever excise decides",
                    f"if that is not meant, look at it: nft list chain {table} {rule.chain}",
                )
        yield from _check_policy(table, wanted - shut)


def _check_policy(table: Table, wanted: frozenset[int]) -> Iterator[Check]:
    named = frozenset(port for rule in table.rules for port in rule.ports)
    missing = wanted - named
    drops = [chain for chain in table.chains if chain.drops and chain.hook == "input"]
    if drops and missing:
        yield Check(
            "service ports",
            State.WARN,
            f"table {table}, chain {drops[0].name} drops what no rule accepts, and none names port"
            f" {_list(missing)}",
            "if clients cannot connect, accept the port there: excise opens nothing",
        )


def _list(ports: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(ports)))
