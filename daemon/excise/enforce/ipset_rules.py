"""The iptables rules that make our sets bite, and what takes them away, as shell lines. Pure.

They are the operator's, since iptables has no room that is ours alone; the daemon only fills the
sets. Order is the safety, as with nftables: loopback and the allowed pass first, then only the
service's ports are looked at, and of those only what stands in a set is touched. Within a
throttle the set is looked up twice: the second time only for what exceeds the rate, and only
that is counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from excise.decide.plan import Measure
from excise.enforce.ipset_layout import (
    ALLOW,
    GATE,
    PORTS,
    SetSpec,
    rates_of,
    standing,
    throttles,
)
from excise.model.decision import Tier

BURST_CONNECTIONS = 5
MAXELEM = 262_144
#: buckets of a rule at most; without room hashlimit drops
BUCKETS = 1 << 20
#: a packet longer than this carries data, whatever its TCP options
BARE_BYTES = {4: 120, 6: 140}
#: built-in chain that leads to each chain of ours: (table, built-in, ours)
JUMPS = (
    ("raw", "PREROUTING", "excise-in"),
    ("filter", "FORWARD", "excise-cut"),
    ("filter", "OUTPUT", "excise-cut"),
    ("mangle", "POSTROUTING", "excise-out"),
)
CHAINS = {
    "raw": ("excise-in", "excise-new", "excise-data"),
    "filter": ("excise-cut",),
    "mangle": ("excise-out",),
}
TOOLS = {4: "iptables", 6: "ip6tables"}


def setup(tiers: Sequence[Tier]) -> str:
    """Return shell lines that put everything in place; doing so again changes nothing."""
    lines = [
        "# excise: the iptables rules for its ipset backend; run as root, again after tiers change",
        "set -e",
        "",
        "# the sets, where the daemon has not made them yet",
        *_creations(standing(tiers)),
    ]
    for version, tool in TOOLS.items():
        lines += ["", f"# IPv{version}: chains of excise, replaced as a whole"]
        lines += [f"{tool}-restore -w --noflush <<'END'", *_tables(version, tiers), "END"]
        for table, hook, chain in JUMPS:
            rule = f"-j {chain}"
            there = f"{tool} -w -t {table} -C {hook} {rule} 2>/dev/null"
            lines.append(f"{there} || {tool} -w -t {table} -I {hook} 1 {rule}")
    lines += ["", "# to undo: excise doctor --iptables --undo", ""]
    return "\n".join(lines)


def undo() -> str:
    """Return shell lines that remove rules, chains and sets; stop the daemon first."""
    lines = ["# excise: take away its iptables rules and sets; stop the daemon first, run as root"]
    for tool in TOOLS.values():
        for table, hook, chain in JUMPS:
            command = f"{tool} -w -t {table} -D {hook} -j {chain} 2>/dev/null"
            lines.append(f"while {command}; do :; done")
        ours = [(table, chain) for table, chains in CHAINS.items() for chain in chains]
        for action in ("-F", "-X"):
            lines += [f"{tool} -w -t {t} {action} {chain} 2>/dev/null || :" for t, chain in ours]
    names = "^excise(-ports$|[46]-)"
    lines.append(f"ipset list -n | grep -E '{names}' | while read -r s; do ipset destroy $s; done")
    return "\n".join([*lines, ""])


def _creations(specs: Sequence[SetSpec]) -> Iterator[str]:
    for kind, group in groupby(sorted(specs, key=lambda s: (s.kind, s.name)), key=lambda s: s.kind):
        names = " ".join(spec.name for spec in group)
        if kind.typename == "bitmap:port":
            how = "bitmap:port range 0-65535"
        else:
            how = f"{kind.typename} family {'inet' if kind.version == 4 else 'inet6'}"
            how += f" maxelem {MAXELEM}"
            how += " timeout 0" if kind.timed else ""
            how += " counters" if kind.counted else ""
        yield f"for s in {names}; do"
        yield f"  ipset list -n $s >/dev/null 2>&1 || ipset create $s {how}"
        yield "done"


def _tables(version: int, tiers: Sequence[Tier]) -> Iterator[str]:
    rules = {
        "raw": [*_inbound(version), *_limited(version, tiers)],
        "filter": list(_cut(version)),
        "mangle": list(_outbound(version, tiers)),
    }
    for table, lines in rules.items():
        yield f"*{table}"
        yield from (f":{chain} - [0:0]" for chain in CHAINS[table])
        yield from lines
        yield "COMMIT"


def _match(spec: SetSpec, side: str, *, negate: bool = False) -> str:
    return f"-m set {'! ' if negate else ''}--match-set {spec.name} {side}"


def _inbound(version: int) -> Iterator[str]:
    here = "-A excise-in"
    yield f"{here} -i lo -j RETURN"
    yield f"{here} {_match(ALLOW[version], 'src')} -j RETURN"
    yield f"{here} {_match(PORTS, 'dst', negate=True)} -j RETURN"
    for role in ("block", "block-net"):
        yield f"{here} {_match(SetSpec(version, role), 'src')} -j DROP"
    yield f"{here} -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -g excise-new"
    yield f"{here} -m length ! --length 0:{BARE_BYTES[version]} -g excise-data"


def _limited(version: int, tiers: Sequence[Tier]) -> Iterator[str]:
    rates = rates_of(tiers)
    chains = {Measure.CONNECTIONS: "excise-new", Measure.INGRESS: "excise-data"}
    for measure, chain in chains.items():
        yield from _throttled(chain, version, measure, rates[measure], "src")


def _cut(version: int) -> Iterator[str]:
    """Answer our own server with a reset, so that it stops at once."""
    here = "-A excise-cut"
    yield f"{here} {_match(ALLOW[version], 'dst')} -j RETURN"
    yield f"{here} {_match(PORTS, 'src', negate=True)} -j RETURN"
    for role in ("block", "block-net"):
        match = _match(SetSpec(version, role), "dst")
        yield f"{here} -p tcp {match} -j REJECT --reject-with tcp-reset"
        yield f"{here} {match} -j DROP"


def _outbound(version: int, tiers: Sequence[Tier]) -> Iterator[str]:
    here = "-A excise-out"
    yield f"{here} {_match(ALLOW[version], 'dst')} -j RETURN"
    yield f"{here} {_match(PORTS, 'src', negate=True)} -j RETURN"
    rates = rates_of(tiers)[Measure.EGRESS]
    yield from _throttled("excise-out", version, Measure.EGRESS, rates, "dst")


def _throttled(
    chain: str, version: int, measure: Measure, rates: Sequence[int], side: str
) -> Iterator[str]:
    """Yield the rules of one measure: addresses, then what is in a throttled network."""
    if not rates:
        return
    specs = [spec for rate in rates for spec in throttles(version, measure, rate)]
    yield from (_limit(chain, s, measure, side) for s in specs if s.mask is None)
    yield f"-A {chain} {_match(GATE[version], side, negate=True)} -j RETURN"
    yield from (_limit(chain, s, measure, side) for s in specs if s.mask is not None)


def _limit(chain: str, spec: SetSpec, measure: Measure, side: str) -> str:
    match = _match(spec, side)
    mode = f"--hashlimit-mode {side}ip"
    if spec.mask is not None:
        mode += f" --hashlimit-{side}mask {spec.mask}"
    limit = f"-m hashlimit {_rate(measure, spec.rate)} {mode} --hashlimit-name {spec.name}"
    limit += f" --hashlimit-htable-max {BUCKETS}"
    return f"-A {chain} {match} ! --update-counters {limit} {match} -j DROP"


def _rate(measure: Measure, rate: int) -> str:
    if measure is not Measure.CONNECTIONS:
        return f"--hashlimit-above {rate}b/s"
    per_min, rest = divmod(rate, 60)
    amount = f"{rate}/hour" if rest or not per_min else f"{per_min}/minute"
    # a bucket that is forgotten before it is full again would be a new one, full at once
    refill_ms = max(10_000, BURST_CONNECTIONS * 3_600_000 // rate + 1_000)
    return (
        f"--hashlimit-above {amount} --hashlimit-burst {BURST_CONNECTIONS}"
        f" --hashlimit-htable-expire {refill_ms}"
    )
