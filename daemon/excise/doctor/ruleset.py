"""The kernel's nftables ruleset, as far as the checks need it: who hooks in where, and what for."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from excise.enforce.nft_elem import raw_elements
from excise.enforce.nft_layout import MARK
from excise.enforce.nft_socket import NftSocket
from excise.enforce.nft_wire import Message, Msg, Reply, parse, text, walk
from excise.errors import DivergedError, EnforceError

FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
INET, NETDEV = 1, 5
HOOKS = ("prerouting", "input", "forward", "output", "postrouting", "ingress")  # nf_inet_hooks
DEVICE_HOOKS = ("ingress", "egress")  # nf_dev_hooks
TRANSPORT, DESTINATION_PORT = 2, 2  # NFT_PAYLOAD_TRANSPORT_HEADER, offset in TCP and UDP
EQUAL = 0  # NFT_CMP_EQ
VERDICTS = {0: "drop", 1: "accept"}
REJECTS = frozenset({b"reject", b"REJECT"})
MULTIPORT_SOURCES = 0  # XT_MULTIPORT_SOURCE, linux/netfilter/xt_multiport.h
#: sets of ports looked into, and entries of each
MOST_SETS, MOST_PORTS = 100, 1_000

#: (family, table, name) of a set or chain
Place = tuple[int, str, str]


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain; `hook` is None unless it is a base chain. `drops`: what nothing accepts."""

    name: str
    hook: str | None = None
    priority: int = 0
    drops: bool = False


@dataclass(frozen=True, slots=True)
class PortRule:
    """A rule of a chain that accepts, drops or rejects what goes to one of `ports`."""

    chain: str
    ports: frozenset[int]
    verdict: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table with what the checks look at; `flowtables` are (name, devices)."""

    family: str
    name: str
    ours: bool = False
    chains: tuple[Chain, ...] = ()
    rules: tuple[PortRule, ...] = ()
    flowtables: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __str__(self) -> str:
        return f"{self.family} {self.name}"


def read_ruleset() -> list[Table]:
    """Read all tables. Raises EnforceError; PrivilegeError without the right to look."""
    try:
        nft = NftSocket()
    except OSError as error:
        raise EnforceError(f"no netlink socket to nftables: {error}") from error
    try:
        return [_furnished(nft, table) for table in nft.ask(Message(Msg.GETTABLE, 0, b""))]
    finally:
        nft.close()


def _furnished(nft: NftSocket, reply: Reply) -> Table:
    fields = parse(reply.payload)
    name, family = _text(fields.get(1, b"")), reply.family
    ours = MARK.encode() in fields.get(6, b"")
    table = Table(FAMILIES.get(family, str(family)), name, ours)
    chains = _of_table(nft, Msg.GETCHAIN, family, name)
    table = replace(table, chains=tuple(chain_of(family, reply) for reply in chains))
    if ours:
        return table
    rules = _of_table(nft, Msg.GETRULE, family, name)
    ports = _ports_of_sets(nft, family, name, rules)
    flowtables = _of_table(nft, Msg.GETFLOWTABLE, family, name)
    return replace(
        table,
        rules=tuple(found for reply in rules for found in port_rules(reply, ports)),
        flowtables=tuple(map(flowtable_of, flowtables)),
    )


def _of_table(nft: NftSocket, kind: Msg, family: int, table: str) -> list[Reply]:
    """Return what of a kind a table has; some kernels do not pick by the table themselves."""
    replies = nft.ask(Message(kind, family, text(1, table)))
    return [
        reply
        for reply in replies
        if reply.family == family and _text(parse(reply.payload).get(1, b"")) == table
    ]


def chain_of(family: int, reply: Reply) -> Chain:
    """Read one NEWCHAIN answer (nft_chain_attributes)."""
    fields = parse(reply.payload)
    name = _text(fields.get(3, b""))
    if 4 not in fields:
        return Chain(name)
    hook = parse(fields[4])
    number = _u32(hook.get(1, b""))
    names = DEVICE_HOOKS if family == NETDEV else HOOKS
    return Chain(
        name=name,
        hook=names[number] if number < len(names) else str(number),
        priority=struct.unpack("!i", hook.get(2, bytes(4)))[0],
        drops=_u32(fields.get(5, b"\0\0\0\1")) == 0,
    )


def flowtable_of(reply: Reply) -> tuple[str, tuple[str, ...]]:
    """Read one NEWFLOWTABLE answer (nft_flowtable_attributes)."""
    fields = parse(reply.payload)
    devices = walk(parse(fields.get(3, b"")).get(3, b""))
    return _text(fields.get(2, b"")), tuple(_text(device) for _kind, device in devices)


def port_rules(reply: Reply, sets: Mapping[str, frozenset[int]]) -> Iterator[PortRule]:
    """Yield what a rule does with destination ports; `sets` are the ports of sets by name."""
    fields = parse(reply.payload)
    ports: set[int] = set()
    verdict = ""
    loaded = False  # whether the register holds a destination port
    for name, data in _expressions(fields.get(4, b"")):
        own = parse(data)
        if name == b"payload":
            loaded = _is_port(own)
        elif name == b"cmp" and loaded and _u32(own.get(2, b"")) == EQUAL:
            ports.add(int.from_bytes(parse(own.get(3, b"")).get(1, b""), "big"))
        elif name == b"lookup" and loaded:
            ports |= sets.get(_text(own.get(1, b"")), frozenset())
        elif name == b"match" and _text(own.get(1, b"")) == "multiport":
            ports |= set(_multiport(own.get(3, b"")))
        elif name == b"immediate":
            code = parse(parse(own.get(2, b"")).get(2, b"")).get(1)
            verdict = VERDICTS.get(_u32(code), verdict) if code else verdict
        elif name in REJECTS or (name == b"target" and own.get(1, b"").rstrip(b"\0") in REJECTS):
            verdict = "reject"
    if ports and verdict:
        yield PortRule(_text(fields.get(2, b"")), frozenset(ports), verdict)


def _ports_of_sets(
    nft: NftSocket, family: int, table: str, rules: Iterable[Reply]
) -> dict[str, frozenset[int]]:
    """Read the sets that rules look a destination port up in."""
    names: dict[str, None] = {}
    for reply in rules:
        loaded = False
        for name, data in _expressions(parse(reply.payload).get(4, b"")):
            own = parse(data)
            if name == b"payload":
                loaded = _is_port(own)
            elif name == b"lookup" and loaded and len(names) < MOST_SETS:
                names[_text(own.get(1, b""))] = None
    return {name: frozenset(_ports(nft, family, table, name)) for name in names}


def _ports(nft: NftSocket, family: int, table: str, name: str) -> set[int]:
    """Return the ports of a set; of a range its bounds alone."""
    asked = Message(Msg.GETSETELEM, family, text(1, table) + text(2, name))
    try:
        replies = nft.ask(asked)
    except DivergedError:  # gone meanwhile
        return set()
    found: set[int] = set()
    for raw in (raw for reply in replies for raw in raw_elements(reply)):
        if len(found) < MOST_PORTS and len(raw.key) >= 2:
            found.add(int.from_bytes(raw.key[:2], "big") - raw.is_end)
    return found


def _is_port(payload: Mapping[int, bytes]) -> bool:
    numbers = tuple(_u32(payload.get(kind, b"")) for kind in (2, 3, 4))
    return numbers == (TRANSPORT, DESTINATION_PORT, 2)


def _multiport(info: bytes) -> Iterator[int]:
    """Yield the destination ports of struct xt_multiport_v1, in the host's order."""
    if len(info) >= 32 and info[0] != MULTIPORT_SOURCES:
        yield from struct.unpack_from("=15H", info, 2)[: info[1]]


def _expressions(packed: bytes) -> Iterator[tuple[bytes, bytes]]:
    for _kind, entry in walk(packed):
        fields = parse(entry)
        yield fields.get(1, b"").rstrip(b"\0"), fields.get(2, b"")


def _u32(field: bytes) -> int:
    return int.from_bytes(field, "big")


def _text(field: bytes) -> str:
    return field.rstrip(b"\0").decode(errors="replace")
