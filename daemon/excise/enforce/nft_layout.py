"""Our two tables, `ip excise` and `ip6 excise`, as values, and the messages that make them. Pure.

What the rules say is in `nft_rules`.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from excise.decide.plan import Measure
from excise.decide.span import Span
from excise.enforce import nft_expr as expr
from excise.enforce.nft_rules import ABOUT, ACCEPT, HOOKED, Rule, Shape, chains, rules
from excise.enforce.nft_wire import Message, Msg, Nlm, attr, be32, nest, text

#: (IP version, set or chain)
Name = tuple[int, str]
TABLE = "excise"
MARK = "managed by excise"
FAMILIES = {4: 2, 6: 10}  # NFPROTO_IPV4, NFPROTO_IPV6
VERSIONS = {family: version for version, family in FAMILIES.items()}
OWNER, PERSIST = 0x2, 0x4  # NFT_TABLE_F_OWNER, NFT_TABLE_F_PERSIST
INTERVAL, MAP, TIMEOUT, EXPR = 0x4, 0x8, 0x10, 0x100  # NFT_SET_*
#: TYPE_* of nft(8), only for its display
IPV4_ADDR, IPV6_ADDR, INET_SERVICE, CLASSID, IFNAME = 7, 8, 13, 23, 41
IFNAME_BYTES = 16  # IFNAMSIZ
HOST_ENDIAN, BIG_ENDIAN = 1, 2  # enum byteorder of nft(8)
SET_COUNT = 20  # NFTA_SET_COUNT, Linux 6.16
#: what an element added by hand without a rate gets: 1 MiB/s, 600 connections a minute
DEFAULT_RATE = {
    None: 0,
    Measure.EGRESS: 1 << 20,
    Measure.INGRESS: 1 << 20,
    Measure.CONNECTIONS: 36_000,
}
#: what a bucket holds beside a second's worth of its rate. Towards a client the kernel hands over
#: up to 64 KiB in one piece; where that never fits the bucket, 20 KiB/s come out as 10 to 18
BURST_BYTES = {Measure.EGRESS: 64 * 1024, Measure.INGRESS: 16 * 1024}
BURST_PACKETS = 5


@dataclass(frozen=True, slots=True)
class SetSpec:
    """One named set of addresses, or of ports (`service`) or interfaces (`named`).

    `limited` elements carry their own rate, `counted` ones a counter; in a `mapped` one each
    stands for a class of a queueing discipline. `masked`: its elements are /64s, looked up by an
    address without its lower half. `room` is how much one may hold that never grows, which the
    kernel then looks up quicker, and tells whole at any time.
    """

    name: str
    about: str
    interval: bool = False
    timed: bool = True
    limited: Measure | None = None
    counted: bool = False
    service: bool = False
    named: bool = False
    mapped: bool = False
    masked: bool = False
    room: int = 0


ALLOW = SetSpec("allow", "always passes", interval=True, timed=False)
PORTS = SetSpec("ports", "service ports; no other traffic is touched", timed=False, service=True)
#: twice what the sieve ever holds (nft_sieve), so that what others add never fills it
NEAR = SetSpec("near", "where networks are held; asked before them", timed=False, room=8192)
GUARDED = SetSpec("guarded", "ports shut to all but guard_allow", timed=False, service=True)
GUARD_ALLOW = SetSpec("guard_allow", "reaches the guarded ports", interval=True, timed=False)
SHAPED = SetSpec("shaped", "interfaces with classes of ours", timed=False, named=True)
CLS = SetSpec("cls", "class of each address throttled by shaping", mapped=True)
CLS_NET = SetSpec("cls_net", "class of each network throttled by shaping", True, mapped=True)


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


#: the sets that are ours to fill
OURS: frozenset[Name] = frozenset(
    (version, spec.name) for version in FAMILIES for s in SETS.values() for spec in s.of(version)
)
#: the sets of networks
NETWORKS: frozenset[Name] = frozenset(
    (version, shelves.network.name) for version in FAMILIES for shelves in SETS.values()
)
PLAIN = Shape()
EVERYTHING = Shape(
    guard=True,
    nat=frozenset(FAMILIES),
    shaping=True,
    asked=OURS,
    sieved=frozenset(FAMILIES),
)


def sets_of(version: int, shape: Shape = PLAIN) -> tuple[SetSpec, ...]:
    """Return the sets that the table of an IP version has, in order."""
    guard = (GUARDED, GUARD_ALLOW) if shape.guard else ()
    shaping = (SHAPED, CLS, CLS_NET) if shape.shaping else ()
    held = (spec for shelves in SETS.values() for spec in shelves.of(version))
    return (ALLOW, PORTS, NEAR, *held, *guard, *shaping)


def spec_of(measure: Measure, span: Span) -> SetSpec:
    """Return the set in which a span is held."""
    if span.is_host:
        return SETS[measure].host
    return SETS[measure].slash64 if span.is_slash64 else SETS[measure].network


def build(exists: Iterable[int], flags: int, shape: Shape = PLAIN) -> Iterator[Message]:
    """Yield what puts fresh, empty tables of both versions in place of the versions that exist."""
    for version in exists:
        yield Message(Msg.DELTABLE, FAMILIES[version], text(1, TABLE))
    for version in FAMILIES:
        yield _table(version, flags)
        for number, spec in enumerate(sets_of(version, shape), 1):
            yield _set(version, spec, number)
        yield from _chains_and_rules(version, shape)


def claim(flags: int) -> Iterator[Message]:
    """Yield what makes tables that outlived their owner our own."""
    for version in FAMILIES:
        yield _table(version, flags)


def relay(
    there: Collection[Name], sets: Collection[Name], shape: Shape = PLAIN
) -> Iterator[Message]:
    """Yield what gives tables this shape, whatever their sets hold: in one transaction.

    The chains `there` and the `sets` are what they have now. All chains and rules are made anew;
    sets that the shape has and the tables lack are made, those that only other shapes have are
    removed.
    """
    for version, family in FAMILIES.items():
        yield Message(Msg.DELRULE, family, text(1, TABLE))
        for name in sorted(name for v, name in there if v == version):
            yield Message(Msg.DELCHAIN, family, text(1, TABLE) + text(3, name))
        wanted = {spec.name: spec for spec in sets_of(version, shape)}
        for spec in sets_of(version, EVERYTHING):
            if spec.name not in wanted and (version, spec.name) in sets:
                yield Message(Msg.DELSET, family, text(1, TABLE) + text(2, spec.name))
        missing = (spec for spec in wanted.values() if (version, spec.name) not in sets)
        for number, spec in enumerate(missing, 1):
            yield _set(version, spec, number)
        yield from _chains_and_rules(version, shape)


def _chains_and_rules(version: int, shape: Shape) -> Iterator[Message]:
    laid = rules(version, shape)
    for name in chains(laid):
        yield _chain(version, name)
    for rule in laid:
        yield _rule(version, rule)


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
    kind, length, order = _key(version, spec)
    defaults = stateful(spec, DEFAULT_RATE[spec.limited])
    flags = INTERVAL * spec.interval | TIMEOUT * spec.timed | EXPR * (len(defaults) > 1)
    # NFTNL_UDATA_SET_KEYBYTEORDER 0, _DATABYTEORDER 1, _DATA_INTERVAL 6, _COMMENT 7: without the
    # first two nft(8) shows addresses and classes the wrong way round
    user_data = struct.pack("=BBI", 0, 4, order)
    body = text(1, TABLE) + text(2, spec.name) + be32(3, flags | MAP * spec.mapped)
    body += be32(4, kind) + be32(5, length)
    if spec.mapped:
        body += be32(6, CLASSID) + be32(7, 4)
        user_data += struct.pack("=BBIBBI", 1, 4, HOST_ENDIAN, 6, 4, 0)
    if spec.room:
        body += nest(9, be32(1, spec.room))
    body += be32(10, number) + attr(13, user_data + _comment(7, spec.about))
    if len(defaults) == 1:
        body += attr(17 | 0x8000, defaults[0][4:])
    elif defaults:
        body += nest(18, *defaults)
    return Message(Msg.NEWSET, FAMILIES[version], body, Nlm.CREATE)


def _key(version: int, spec: SetSpec) -> tuple[int, int, int]:
    """Return type, length in bytes and byte order of a set's keys."""
    if spec.named:
        return IFNAME, IFNAME_BYTES, HOST_ENDIAN
    if spec.service:
        return INET_SERVICE, 2, BIG_ENDIAN
    return (IPV4_ADDR, 4, BIG_ENDIAN) if version == 4 else (IPV6_ADDR, 16, BIG_ENDIAN)


def stateful(spec: SetSpec, rate: int) -> list[bytes]:
    """Return the expressions that each element of a set carries."""
    out = []
    if spec.limited is Measure.CONNECTIONS:
        per_min, rest = divmod(rate, 60)
        amount, per_s = (rate, 3600) if rest or not per_min else (per_min, 60)
        out.append(expr.limit_over(amount, per_s, BURST_PACKETS, in_bytes=False))
    elif spec.limited:
        out.append(expr.limit_over(rate, 1, BURST_BYTES[spec.limited], in_bytes=True))
    if spec.counted:
        out.append(expr.counter())
    return out


def _chain(version: int, name: str) -> Message:
    body = text(1, TABLE) + text(3, name)
    if name in HOOKED:
        hook, priority = HOOKED[name]
        body += nest(4, be32(1, hook), be32(2, priority)) + be32(5, ACCEPT) + text(7, "filter")
    body += attr(12, _comment(0, ABOUT[name]))
    return Message(Msg.NEWCHAIN, FAMILIES[version], body, Nlm.CREATE)


def _rule(version: int, rule: Rule) -> Message:
    body = text(1, TABLE) + text(2, rule.chain) + nest(4, *rule.expressions)
    if rule.comment:
        body += attr(7, _comment(0, rule.comment))
    return Message(Msg.NEWRULE, FAMILIES[version], body, Nlm.CREATE | Nlm.APPEND)
