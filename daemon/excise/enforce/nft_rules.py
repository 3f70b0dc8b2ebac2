"""What the chains say: every rule of our tables, as expressions, in order. Pure.

Loopback passes first, then only our service ports are looked at, and of those only what stands in
a set is touched. Every rule that takes something away asks by itself that the address is not
allowed, and does so last: a packet of somebody who is in no set, which is nearly every packet,
never pays for the allow set. Sets that hold nothing are not asked, and chains that would do
nothing are not there: a look into a set costs a packet 0.1 us, even into an empty one. Into a set
of a thousand networks it costs 0.4, so a sieve is asked before (`nft_sieve`).

Prerouting at -310 is before conntrack and destination NAT, so the port seen there is the published
one; postrouting comes after source NAT, so that replies from a container bear the published port
again. In between, in the forward hook, they bear the container's own, and only conntrack knows the
published one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from excise.decide.span import BITS
from excise.enforce import nft_expr as expr

TCP, UDP = 6, 17
DROP, ACCEPT, JUMP, GOTO = 0, 1, -3, -4  # NF_*, NFT_*
META_LENGTH, META_PRIORITY, META_IIF, META_OIF, META_OIFNAME, META_L4PROTO = 0, 2, 4, 5, 7, 16
CT_DIRECTION, CT_PROTO_DST = 1, 12  # NFT_CT_*
ORIGINAL, REPLY = 0, 1  # IP_CT_DIR_*
NETWORK, TRANSPORT = 1, 2  # NFT_PAYLOAD_*_HEADER
GREATER = 4  # NFT_CMP_GT
LOOPBACK = struct.pack("=I", 1)  # LOOPBACK_IFINDEX
EARLY = -310  # before NF_IP_PRI_RAW
AFTER_NAT = 110  # after NF_IP_PRI_NAT_SRC
#: a packet longer than this carries data, whatever its TCP options
BARE_BYTES = {4: 120, 6: 140}
#: chains at a hook: (NF_INET_* hook, priority)
HOOKED = {
    "pre": (0, EARLY),
    "forwarded": (2, EARLY),
    "out": (3, EARLY),
    "post": (4, AFTER_NAT),
}
#: what a packet's address is cut to before the sieve is asked: a v4 /16, a v6 /32
LEADING_BITS = {4: 16, 6: 32}
#: up to so many service ports are compared with one by one, which costs half of a look into a set
FEW_PORTS = 2
#: all chains in order, and what a listing says of them
ABOUT = {
    "pre": "what comes in, by the port it was sent to",
    "forwarded": "what containers send",
    "out": "what this host sends",
    "post": "what goes out, by the port it is seen to come from",
    "inbound": "towards the service ports, TCP",
    "inbound_udp": "towards the service ports, UDP",
    "newconn": "begins a connection",
    "indata": "carries data to us",
    "cut": "from the service ports",
    "refuse": "a server refused its packets stops at once",
    "outdata": "from the service ports",
    "shut": "towards the guarded ports",
    "shut_reply": "from the guarded ports",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """Which optional parts the tables have.

    `guard`: ports are shut to all but named networks. `nat`: IP versions whose forwarded replies
    are looked up in conntrack; asking loads it, which costs every packet. `shaping`: egress
    throttles may be a class of a queueing discipline. `asked`: (IP version, name) of the sets of
    measures that rules look into. `ports`: the service ports. `sieved`: IP versions whose rules
    ask `near` before a set of networks.
    """

    guard: bool = False
    nat: frozenset[int] = frozenset()
    shaping: bool = False
    asked: frozenset[tuple[int, str]] = frozenset()
    ports: tuple[int, ...] = ()
    sieved: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a chain, with the words that a listing shows behind it.

    `asks` is the set of a measure that it looks into, `leads_to` the chain that it goes to. One
    that `only_passes` is of no use in a chain without others.
    """

    chain: str
    expressions: tuple[bytes, ...]
    comment: str = ""
    asks: str = ""
    leads_to: str = ""
    only_passes: bool = False


@dataclass(frozen=True, slots=True)
class Address:
    """The source or the destination of packets: what loads it, and whether there is a sieve."""

    version: int
    load: bytes
    sieved: bool

    def leading(self, bits: int) -> bytes:
        """Cut it, once loaded, to its leading bits."""
        whole = BITS[self.version]
        return expr.mask(((1 << bits) - 1 << whole - bits).to_bytes(whole // 8, "big"))

    def sieve(self) -> tuple[bytes, ...]:
        """Go on if there may be a network that it is in."""
        found = self.load, self.leading(LEADING_BITS[self.version]), expr.lookup("near")
        return found if self.sieved else ()


def rules(version: int, shape: Shape) -> list[Rule]:
    """Return the rules of the table of an IP version, chain by chain, each in order."""
    asked = {name for v, name in shape.asked if v == version}
    kept = [r for r in _possible(version, shape) if not r.asks or r.asks in asked]
    while True:
        acting = {r.chain for r in kept if not r.only_passes}
        reached = acting & {*HOOKED, *(r.leads_to for r in kept)}
        useful = [r for r in kept if r.chain in reached and r.leads_to in {"", *reached}]
        if useful == kept:
            return kept
        kept = useful


def chains(found: Iterable[Rule]) -> list[str]:
    """Return the chains that rules are in, in order."""
    there = {rule.chain for rule in found}
    return [name for name in ABOUT if name in there]


def _possible(version: int, shape: Shape) -> Iterator[Rule]:
    """Yield the rules that there would be if every set were asked."""
    source, target = (_address(version, which, shape) for which in (0, 1))

    loopback = (expr.meta(META_IIF), expr.compare(LOOPBACK), expr.verdict(ACCEPT))
    yield Rule("pre", loopback, only_passes=True)
    if shape.guard:
        yield from _ported("pre", 2, {TCP: "shut", UDP: "shut"}, _guarded())
    yield from _ported("pre", 2, {TCP: "inbound", UDP: "inbound_udp"}, _service(shape))
    yield from _inbound(source)
    for hook in ("forwarded", "out"):
        if shape.guard and hook == "out":
            # what is forwarded may bear a guarded port and have been published by another
            yield from _ported(hook, 0, {TCP: "shut_reply", UDP: "shut_reply"}, _guarded())
        yield from _ported(hook, 0, {TCP: "cut", UDP: "cut"}, _service(shape))
    if version in shape.nat:
        yield from _published("ports", "cut")
        if shape.guard:
            yield from _published("guarded", "shut_reply")
    yield from _cut(target)
    if shape.guard:
        yield from _shut(source, target)
    yield from _ported("post", 0, {TCP: "outdata", UDP: "outdata"}, _service(shape))
    if shape.shaping:
        yield from _shaped(target)
    yield from _held("outdata", "egr", target, _taken())


def _inbound(source: Address) -> Iterator[Rule]:
    is_data = _carries_data(source.version)
    # a jump: with early data (0-RTT) the first packet carries a prompt too
    initial = (*_is_initial(), expr.verdict(JUMP, "newconn"))
    syn = (*_protocol(TCP), *_is_syn(), expr.verdict(GOTO, "newconn"))  # so that nft can read it
    begins = {
        "inbound": Rule("inbound", syn, leads_to="newconn"),
        "inbound_udp": Rule("inbound_udp", initial, "QUIC Initial", leads_to="newconn"),
    }
    data = (*is_data, expr.verdict(GOTO, "indata"))
    for chain, begin in begins.items():
        yield from _held(chain, "block", source, _taken())
        yield begin
        yield Rule(chain, data, "more than a bare ACK", leads_to="indata")
    yield from _held("newconn", "newc", source, _taken())
    yield from _held("indata", "igr", source, _taken())


def _held(
    chain: str, name: str, address: Address, action: tuple[bytes, ...], *, leads_to: str = ""
) -> Iterator[Rule]:
    """Yield a rule for each set of a measure, for addresses that are not allowed.

    The sets are those of addresses, of v6 /64s, and of networks.
    """
    load = address.load
    before: dict[str, tuple[bytes, ...]] = {name: (load,)}
    if address.version == 6:
        before[f"{name}_64"] = (load, address.leading(64))
    before[f"{name}_net"] = (*address.sieve(), load)
    for set_name, found in before.items():
        rest = (expr.lookup(set_name), load, expr.lookup_none("allow"), *action)
        yield Rule(chain, (*found, *rest), asks=set_name, leads_to=leads_to)


def _taken() -> tuple[bytes, ...]:
    """Drop; what is taken away is counted, which costs nothing but to the packets that end here."""
    return expr.counter(), expr.verdict(DROP)


def _published(ports: str, go_to: str) -> Iterator[Rule]:
    """Replies of a container that bear its own port: conntrack knows the published one."""
    for protocol in (TCP, UDP):
        found = (
            *_protocol(protocol),
            expr.conntrack(CT_DIRECTION),
            expr.compare(bytes([REPLY])),
            expr.conntrack(CT_PROTO_DST, ORIGINAL),
            expr.lookup(ports),
            expr.verdict(GOTO, go_to),
        )
        yield Rule("forwarded", found, "published by NAT", leads_to=go_to)


def _cut(target: Address) -> Iterator[Rule]:
    """Refuse our own server its packets: it stops at once, where TCP would try for minutes."""
    # one look into each set for those who are not in it, which is nearly everybody
    refuse = (expr.verdict(GOTO, "refuse"),)
    yield from _held("cut", "block", target, refuse, leads_to="refuse")
    yield Rule("refuse", (*_protocol(TCP), expr.counter(), expr.reject_with_reset()))
    yield Rule("refuse", (expr.counter(), expr.reject_unreachable(target.version)))


def _shut(source: Address, target: Address) -> Iterator[Rule]:
    accept, oif_lo = expr.verdict(ACCEPT), (expr.meta(META_OIF), expr.compare(LOOPBACK))
    for name in ("allow", "guard_allow"):
        yield Rule("shut", (source.load, expr.lookup(name), accept))
    yield Rule("shut", (expr.verdict(DROP),))
    yield Rule("shut_reply", (*oif_lo, accept))
    for name in ("allow", "guard_allow"):
        yield Rule("shut_reply", (target.load, expr.lookup(name), accept))
    yield Rule("shut_reply", (*_protocol(TCP), expr.reject_with_reset()))
    yield Rule("shut_reply", (expr.reject_unreachable(target.version),))


def _shaped(target: Address) -> Iterator[Rule]:
    """Where an interface has our classes, one of them holds the rate instead of the policer."""
    for name in ("cls", "cls_net"):
        found = (
            expr.meta(META_OIFNAME),
            expr.lookup("shaped"),
            target.load,
            expr.lookup_none("allow"),
            target.load,
            expr.look_up_value(name),
            expr.set_meta(META_PRIORITY),
            expr.verdict(ACCEPT),
        )
        yield Rule("outdata", found)


def _ported(
    chain: str, offset: int, go_to: Mapping[int, str], ports: Sequence[bytes]
) -> Iterator[Rule]:
    """Yield rules for protocols whose source (0) or destination (2) port is among `ports`."""
    for protocol, target in go_to.items():
        port = expr.payload(TRANSPORT, offset, 2)
        for is_among in ports:
            found = (*_protocol(protocol), port, is_among, expr.verdict(GOTO, target))
            yield Rule(chain, found, leads_to=target)


def _service(shape: Shape) -> list[bytes]:
    """Return what matches a service port."""
    if 0 < len(shape.ports) <= FEW_PORTS:
        return [expr.compare(struct.pack("!H", port)) for port in shape.ports]
    return [expr.lookup("ports")]


def _guarded() -> list[bytes]:
    return [expr.lookup("guarded")]


def _address(version: int, which: int, shape: Shape) -> Address:
    """Return the source (0) or destination (1) address: struct iphdr, struct ipv6hdr."""
    first, length = (12, 4) if version == 4 else (8, 16)
    load = expr.payload(NETWORK, first + which * length, length)
    return Address(version, load, version in shape.sieved)


def _protocol(number: int) -> tuple[bytes, ...]:
    return expr.meta(META_L4PROTO), expr.compare(bytes([number]))


def _is_syn() -> tuple[bytes, ...]:
    """Match FIN, SYN, RST, ACK = SYN (RFC 9293, byte 13 of the header)."""
    return expr.payload(TRANSPORT, 13, 1), expr.mask(b"\x17"), expr.compare(b"\x02")


def _is_initial() -> tuple[bytes, ...]:
    """Match a packet with which a client begins a QUIC connection.

    The byte after the UDP header says long header, type Initial (RFC 9000, 17.2; RFC 9369, 3.2).
    Taken in is 0-RTT; left out is the fixed bit, which may be greased (RFC 9287). A short header
    never matches, nor DTLS.
    """
    return expr.payload(TRANSPORT, 8, 1), expr.mask(b"\xa0"), expr.compare(b"\x80")


def _carries_data(version: int) -> tuple[bytes, ...]:
    bare = struct.pack("!I", BARE_BYTES[version])
    return expr.meta(META_LENGTH), expr.to_network_order(), expr.compare(bare, GREATER)
