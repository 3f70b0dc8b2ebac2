"""What the chains say: every rule of our tables, as expressions, in order. Pure.

Loopback passes first, then only our service ports are looked at, and of those only what stands in
a set is touched. Every rule that takes something away asks by itself that the address is not
allowed, and does so last: a packet of somebody who is in no set, which is nearly every packet,
never pays for the allow set. Sets that hold nothing are not asked, and chains that would do
nothing are not there: a look into a set costs a packet 0.1 us, even into an empty one.

Prerouting at -310 is before conntrack and destination NAT, so the port seen there is the published
one; postrouting comes after source NAT, so that replies from a container bear the published port
again. In between, in the forward hook, they bear the container's own, and only conntrack knows the
published one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

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
    measures that rules look into. `ports`: the service ports.
    """

    guard: bool = False
    nat: frozenset[int] = frozenset()
    shaping: bool = False
    asked: frozenset[tuple[int, str]] = frozenset()
    ports: tuple[int, ...] = ()


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
    source, target = _address(version, 0), _address(version, 1)

    loopback = (expr.meta(META_IIF), expr.compare(LOOPBACK), expr.verdict(ACCEPT))
    yield Rule("pre", loopback, only_passes=True)
    if shape.guard:
        yield from _ported("pre", 2, {TCP: "shut", UDP: "shut"}, _guarded())
    yield from _ported("pre", 2, {TCP: "inbound", UDP: "inbound_udp"}, _service(shape))
    yield from _inbound(version, source)
    for hook in ("forwarded", "out"):
        if shape.guard and hook == "out":
            # what is forwarded may bear a guarded port and have been published by another
            yield from _ported(hook, 0, {TCP: "shut_reply", UDP: "shut_reply"}, _guarded())
        yield from _ported(hook, 0, {TCP: "cut", UDP: "cut"}, _service(shape))
    if version in shape.nat:
        yield from _published("ports", "cut")
        if shape.guard:
            yield from _published("guarded", "shut_reply")
    yield from _cut(version, target)
    if shape.guard:
        yield from _shut(version, source, target)
    yield from _ported("post", 0, {TCP: "outdata", UDP: "outdata"}, _service(shape))
    if shape.shaping:
        yield from _shaped(target)
    yield from _held("outdata", "egr", version, target, _taken())


def _inbound(version: int, source: bytes) -> Iterator[Rule]:
    is_data = _carries_data(version)
    # a jump: with early data (0-RTT) the first packet carries a prompt too
    initial = (*_is_initial(), expr.verdict(JUMP, "newconn"))
    syn = (*_protocol(TCP), *_is_syn(), expr.verdict(GOTO, "newconn"))  # so that nft can read it
    begins = {
        "inbound": Rule("inbound", syn, leads_to="newconn"),
        "inbound_udp": Rule("inbound_udp", initial, "QUIC Initial", leads_to="newconn"),
    }
    data = (*is_data, expr.verdict(GOTO, "indata"))
    for chain, begin in begins.items():
        yield from _held(chain, "block", version, source, _taken())
        yield begin
        yield Rule(chain, data, "more than a bare ACK", leads_to="indata")
    yield from _held("newconn", "newc", version, source, _taken())
    yield from _held("indata", "igr", version, source, _taken())


def _held(
    chain: str,
    name: str,
    version: int,
    address: bytes,
    action: tuple[bytes, ...],
    *,
    leads_to: str = "",
) -> Iterator[Rule]:
    """Yield a rule for each set of a measure, for addresses that are not allowed.

    The sets are those of addresses, of v6 /64s, and of networks.
    """
    masks: dict[str, tuple[bytes, ...]] = {name: (), f"{name}_64": (), f"{name}_net": ()}
    masks[f"{name}_64"] = (expr.mask(b"\xff" * 8 + bytes(8)),)
    if version == 4:
        del masks[f"{name}_64"]
    for set_name, mask in masks.items():
        found = (address, *mask, expr.lookup(set_name), address, expr.lookup_none("allow"))
        yield Rule(chain, (*found, *action), asks=set_name, leads_to=leads_to)


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


def _cut(version: int, target: bytes) -> Iterator[Rule]:
    """Refuse our own server its packets: it stops at once, where TCP would try for minutes."""
    # one look into each set for those who are not in it, which is nearly everybody
    refuse = (expr.verdict(GOTO, "refuse"),)
    yield from _held("cut", "block", version, target, refuse, leads_to="refuse")
    yield Rule("refuse", (*_protocol(TCP), expr.counter(), expr.reject_with_reset()))
    yield Rule("refuse", (expr.counter(), expr.reject_unreachable(version)))


def _shut(version: int, source: bytes, target: bytes) -> Iterator[Rule]:
    accept, oif_lo = expr.verdict(ACCEPT), (expr.meta(META_OIF), expr.compare(LOOPBACK))
    for name in ("allow", "guard_allow"):
        yield Rule("shut", (source, expr.lookup(name), accept))
    yield Rule("shut", (expr.verdict(DROP),))
    yield Rule("shut_reply", (*oif_lo, accept))
    for name in ("allow", "guard_allow"):
        yield Rule("shut_reply", (target, expr.lookup(name), accept))
    yield Rule("shut_reply", (*_protocol(TCP), expr.reject_with_reset()))
    yield Rule("shut_reply", (expr.reject_unreachable(version),))


def _shaped(target: bytes) -> Iterator[Rule]:
    """Where an interface has our classes, one of them holds the rate instead of the policer."""
    for name in ("cls", "cls_net"):
        found = (
            expr.meta(META_OIFNAME),
            expr.lookup("shaped"),
            target,
            expr.lookup_none("allow"),
            target,
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


def _address(version: int, which: int) -> bytes:
    """Load the source (0) or destination (1) address: struct iphdr, struct ipv6hdr."""
    first, length = (12, 4) if version == 4 else (8, 16)
    return expr.payload(NETWORK, first + which * length, length)


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
