"""Our two tables, `ip excise` and `ip6 excise`, as values, and the messages that make them. Pure.

Order is the safety: loopback and the allowed pass first, then only our service ports are looked
at, and of those only what stands in a set is touched. Prerouting at -310 is before conntrack
and destination NAT, so the port seen there is the published one; postrouting comes after source
NAT, so that replies from a container bear the published port again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from excise.decide.plan import Measure
from excise.decide.span import Span
from excise.enforce import nft_expr as expr
from excise.enforce.nft_wire import Message, Msg, Nlm, attr, be32, nest, text

TABLE = "excise"
MARK = "managed by excise"
FAMILIES = {4: 2, 6: 10}  # NFPROTO_IPV4, NFPROTO_IPV6
VERSIONS = {family: version for version, family in FAMILIES.items()}
OWNER, PERSIST = 0x2, 0x4  # NFT_TABLE_F_OWNER, NFT_TABLE_F_PERSIST
INTERVAL, TIMEOUT, EXPR = 0x4, 0x10, 0x100  # NFT_SET_*
IPV4_ADDR, IPV6_ADDR, INET_SERVICE = 7, 8, 13  # TYPE_* of nft(8), only for its display
TCP, UDP = 6, 17
DROP, ACCEPT, GOTO = 0, 1, -4
META_LENGTH, META_IIF, META_L4PROTO = 0, 4, 16  # NFT_META_*
NETWORK, TRANSPORT = 1, 2  # NFT_PAYLOAD_*_HEADER
GREATER = 4  # NFT_CMP_GT
EARLY = -310  # before NF_IP_PRI_RAW
AFTER_NAT = 110  # after NF_IP_PRI_NAT_SRC
SET_COUNT = 20  # NFTA_SET_COUNT, Linux 6.16
#: what an element added by hand without a rate gets: 1 MiB/s, 600 connections a minute
DEFAULT_RATE = {
    None: 0,
    Measure.EGRESS: 1 << 20,
    Measure.INGRESS: 1 << 20,
    Measure.CONNECTIONS: 36_000,
}
BURST_BYTES = 16 * 1024
BURST_PACKETS = 5
#: a packet longer than this carries data, whatever its TCP options
BARE_BYTES = {4: 120, 6: 140}


@dataclass(frozen=True, slots=True)
class SetSpec:
    """One named set. `limited` elements carry their own rate, `counted` ones a counter.

    `masked`: its elements are /64s, looked up by an address without its lower half.
    """

    name: str
    about: str
    interval: bool = False
    timed: bool = True
    limited: Measure | None = None
    counted: bool = False
    service: bool = False
    masked: bool = False


ALLOW = SetSpec("allow", "always passes", interval=True, timed=False)
PORTS = SetSpec("ports", "service ports; no other traffic is touched", timed=False, service=True)


@dataclass(frozen=True, slots=True)
class Shelves:
    """The sets of one measure: of single addresses, of v6 /64s, and of all other networks.

    A v6 client is a /64. There may be many of them, and an interval set takes longer for every
    change the more it holds; so they are looked up by hash, under a mask.
    """

    host: SetSpec
    slash64: SetSpec
    network: SetSpec

    def of(self, version: int) -> tuple[SetSpec, ...]:
        """Return those that the table of an IP version has, in the order they are asked."""
        return (
            (self.host, self.network) if version == 4 else (self.host, self.slash64, self.network)
        )


def _shelves(name: str, words: tuple[str, str, str], limited: Measure | None) -> Shelves:
    counted = limited is not None
    host, slash64, network = words
    return Shelves(
        SetSpec(name, host, limited=limited, counted=counted),
        SetSpec(f"{name}_64", slash64, limited=limited, counted=counted, masked=True),
        SetSpec(f"{name}_net", network, interval=True, limited=limited, counted=True),
    )


def _each(words: str) -> tuple[str, str, str]:
    return f"{words} each address", f"{words} each /64", f"{words} each network"


DROPPED = ("addresses dropped", "/64s dropped", "networks dropped")
SETS: Mapping[Measure, Shelves] = {
    Measure.DROP: _shelves("block", DROPPED, None),
    Measure.EGRESS: _shelves("egr", _each("bytes towards"), Measure.EGRESS),
    Measure.INGRESS: _shelves("igr", _each("bytes from"), Measure.INGRESS),
    Measure.CONNECTIONS: _shelves("newc", _each("connections from"), Measure.CONNECTIONS),
}


def sets_of(version: int) -> tuple[SetSpec, ...]:
    """Return all sets of the table of an IP version, in order."""
    return (ALLOW, PORTS, *(spec for shelves in SETS.values() for spec in shelves.of(version)))


def spec_of(measure: Measure, span: Span) -> SetSpec:
    """Return the set in which a span is held."""
    if span.is_host:
        return SETS[measure].host
    return SETS[measure].slash64 if span.is_slash64 else SETS[measure].network


def build(exists: Iterable[int], flags: int) -> Iterator[Message]:
    """Yield what puts fresh, empty tables of both versions in place of the versions that exist."""
    for version in exists:
        yield Message(Msg.DELTABLE, FAMILIES[version], text(1, TABLE))
    for version in FAMILIES:
        yield _table(version, flags)
        for number, spec in enumerate(sets_of(version), 1):
            yield _set(version, spec, number)
        yield from _chains_and_rules(version)


def claim(flags: int) -> Iterator[Message]:
    """Yield what makes tables that outlived their owner our own."""
    for version in FAMILIES:
        yield _table(version, flags)


def relay(chains: Iterable[tuple[int, str]]) -> Iterator[Message]:
    """Yield what puts our chains and rules in place of all that the tables have; sets stay.

    `chains` are (version, name) of those that are there.
    """
    there = sorted(chains)
    # first the rules, all of them: no chain goes while a rule of another refers to it
    for kind, name_at in ((Msg.DELRULE, 2), (Msg.DELCHAIN, 3)):
        for version, name in there:
            yield Message(kind, FAMILIES[version], text(1, TABLE) + text(name_at, name))
    for version in FAMILIES:
        yield from _chains_and_rules(version)


def _chains_and_rules(version: int) -> Iterator[Message]:
    yield from _chains(version)
    for chain, rule in _rules(version):
        yield _rule(version, chain, rule)


def remove(exists: Iterable[int]) -> list[Message]:
    """Return what removes the tables of these versions."""
    return [Message(Msg.DELTABLE, FAMILIES[v], text(1, TABLE)) for v in exists]


def _comment(kind: int, words: str) -> bytes:
    """Return user data as nft(8) stores a comment: type, length, text."""
    return struct.pack("BB", kind, len(words) + 1) + words.encode() + b"\0"


def _table(version: int, flags: int) -> Message:
    body = text(1, TABLE) + be32(2, flags) + attr(6, _comment(0, MARK))
    return Message(Msg.NEWTABLE, FAMILIES[version], body, Nlm.CREATE)


def _set(version: int, spec: SetSpec, number: int) -> Message:
    kind, length = (IPV4_ADDR, 4) if version == 4 else (IPV6_ADDR, 16)
    if spec.service:
        kind, length = INET_SERVICE, 2
    defaults = stateful(spec, DEFAULT_RATE[spec.limited])
    flags = INTERVAL * spec.interval | TIMEOUT * spec.timed | EXPR * (len(defaults) > 1)
    # NFTNL_UDATA_SET_KEYBYTEORDER 0 = big-endian, NFTNL_UDATA_SET_COMMENT 7
    user_data = struct.pack("=BBI", 0, 4, 2) + _comment(7, spec.about)
    body = text(1, TABLE) + text(2, spec.name) + be32(3, flags) + be32(4, kind) + be32(5, length)
    body += be32(10, number) + attr(13, user_data)
    if len(defaults) == 1:
        body += attr(17 | 0x8000, defaults[0][4:])
    elif defaults:
        body += nest(18, *defaults)
    return Message(Msg.NEWSET, FAMILIES[version], body, Nlm.CREATE)


def stateful(spec: SetSpec, rate: int) -> list[bytes]:
    """Return the expressions that each element of a set carries."""
    out = []
    if spec.limited is Measure.CONNECTIONS:
        per_min, rest = divmod(rate, 60)
        amount, per_s = (rate, 3600) if rest or not per_min else (per_min, 60)
        out.append(expr.limit_over(amount, per_s, BURST_PACKETS, in_bytes=False))
    elif spec.limited:
        out.append(expr.limit_over(rate, 1, BURST_BYTES, in_bytes=True))
    if spec.counted:
        out.append(expr.counter())
    return out


def _chains(version: int) -> Iterator[Message]:
    hooks = {  # name: (NF_INET_* hook, priority)
        "pre": (0, EARLY),
        "forwarded": (2, EARLY),
        "out": (3, EARLY),
        "post": (4, AFTER_NAT),
    }
    for name, (hook, priority) in hooks.items():
        body = text(1, TABLE) + text(3, name) + nest(4, be32(1, hook), be32(2, priority))
        body += be32(5, ACCEPT) + text(7, "filter")
        yield Message(Msg.NEWCHAIN, FAMILIES[version], body, Nlm.CREATE)
    for name in ("inbound", "newconn", "indata", "cut", "outdata"):
        yield Message(Msg.NEWCHAIN, FAMILIES[version], text(1, TABLE) + text(3, name), Nlm.CREATE)


def _rules(version: int) -> Iterator[tuple[str, tuple[bytes, ...]]]:
    """Yield (chain, expressions) in order."""
    source, target = _address(version, 0), _address(version, 1)
    # what is taken away is counted: costs nothing but to the packets that end there
    drop, accept = expr.counter() + expr.verdict(DROP), expr.verdict(ACCEPT)
    tcp = (expr.meta(META_L4PROTO), expr.compare(bytes([TCP])))

    yield "pre", (expr.meta(META_IIF), expr.compare(struct.pack("=I", 1)), accept)  # 1 is lo
    yield "pre", (source, expr.lookup("allow"), accept)
    yield from _service("pre", 2, "inbound")
    for match in _matches(Measure.DROP, version, source):
        yield "inbound", (*match, drop)
    yield "inbound", (*tcp, *_is_syn(), expr.verdict(GOTO, "newconn"))
    yield "inbound", (*_carries_data(version), expr.verdict(GOTO, "indata"))
    for chain, measure in (("newconn", Measure.CONNECTIONS), ("indata", Measure.INGRESS)):
        for match in _matches(measure, version, source):
            yield chain, (*match, drop)

    # a reset to our own server stops it at once; without it TCP sends on for minutes
    for hook in ("forwarded", "out"):
        yield hook, (target, expr.lookup("allow"), accept)
        yield from _service(hook, 0, "cut")
    for match in _matches(Measure.DROP, version, target):
        yield "cut", (*tcp, *match, expr.counter(), expr.reject_with_reset())
        yield "cut", (*match, drop)

    yield "post", (target, expr.lookup("allow"), accept)
    yield from _service("post", 0, "outdata")
    for match in _matches(Measure.EGRESS, version, target):
        yield "outdata", (*match, drop)


def _matches(measure: Measure, version: int, address: bytes) -> Iterator[tuple[bytes, ...]]:
    """Yield a match for each set of a measure."""
    for spec in SETS[measure].of(version):
        masked = (expr.mask(b"\xff" * 8 + bytes(8)),) if spec.masked else ()
        yield (address, *masked, expr.lookup(spec.name))


def _address(version: int, which: int) -> bytes:
    """Load the source (0) or destination (1) address: struct iphdr, struct ipv6hdr."""
    first, length = (12, 4) if version == 4 else (8, 16)
    return expr.payload(NETWORK, first + which * length, length)


def _service(chain: str, offset: int, go_to: str) -> Iterator[tuple[str, tuple[bytes, ...]]]:
    """Yield rules for TCP and UDP whose source (0) or destination (2) port is ours."""
    for protocol in (TCP, UDP):
        yield (
            chain,
            (
                expr.meta(META_L4PROTO),
                expr.compare(bytes([protocol])),
                expr.payload(TRANSPORT, offset, 2),
                expr.lookup("ports"),
                expr.verdict(GOTO, go_to),
            ),
        )


def _is_syn() -> tuple[bytes, ...]:
    """Match FIN, SYN, RST, ACK = SYN (RFC 9293, byte 13 of the header)."""
    return expr.payload(TRANSPORT, 13, 1), expr.mask(b"\x17"), expr.compare(b"\x02")


def _carries_data(version: int) -> tuple[bytes, ...]:
    bare = struct.pack("!I", BARE_BYTES[version])
    return expr.meta(META_LENGTH), expr.to_network_order(), expr.compare(bare, GREATER)


def _rule(version: int, chain: str, expressions: Sequence[bytes]) -> Message:
    body = text(1, TABLE) + text(2, chain) + nest(4, *expressions)
    return Message(Msg.NEWRULE, FAMILIES[version], body, Nlm.CREATE | Nlm.APPEND)
