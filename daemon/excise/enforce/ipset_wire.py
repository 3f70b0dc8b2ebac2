"""ipset messages as bytes, both ways. Pure: values in, values out, no socket.

Names in comments are those of linux/netfilter/ipset/ip_set.h. Numbers inside attributes are
big-endian and marked so, headers are of the host's order. Many entries share a message: one of
60,000 bytes takes about two milliseconds in the kernel, which locks out other users of ipset for
as long.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from itertools import islice

import msgspec

from excise.enforce.nft_wire import (
    FAMILY,
    HEADER,
    NLA,
    NLA_NESTED,
    Nlm,
    Reply,
    attr,
    nest,
    parse,
    text,
    walk,
)

SUBSYSTEM = 6  # NFNL_SUBSYS_IPSET
PROTOCOL = 6  # IPSET_PROTOCOL_MIN; what has come since is not needed here
NET_ORDER = 0x4000  # NLA_F_NET_BYTEORDER
EXCL = 0x200  # NLM_F_EXCL: what is there already, or is not, is an error
#: an attribute's length is 16 bits; lists of entries are cut well before
LIST_BYTES = 60_000
#: IPSET_MAX_TIMEOUT, seconds: 24 days; 0 would be for good
MOST_S = ((1 << 32) - 1 >> 1) // 1000
BITS = {4: 32, 6: 128}
FAMILIES = {4: 2, 6: 10, 0: 0}  # NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_UNSPEC


class Cmd(IntEnum):
    """ipset_cmd."""

    PROTOCOL = 1
    CREATE = 2
    DESTROY = 3
    FLUSH = 4
    SWAP = 6
    LIST = 7
    ADD = 9
    DEL = 10
    TEST = 11


class Err(IntEnum):
    """ipset_errno, and what the hash types add to it."""

    PROTOCOL = 4097
    FIND_TYPE = 4098
    MAX_SETS = 4099
    BUSY = 4100
    TYPE_MISMATCH = 4102
    EXIST = 4103
    HASH_FULL = 4352


class CreateFlag(IntFlag):
    """IPSET_FLAG_WITH_*."""

    COUNTERS = 0x8


@dataclass(frozen=True, slots=True)
class Command:
    """One ipset message before it has a sequence number; `version` 0 is for no family."""

    cmd: Cmd
    version: int
    payload: bytes
    flags: int = 0


@dataclass(frozen=True, slots=True, order=True)
class Kind:
    """What a set is made of. `typename` is hash:ip, hash:net or bitmap:port."""

    typename: str
    version: int
    timed: bool = True
    counted: bool = False


@dataclass(frozen=True, slots=True)
class Header:
    """What the kernel says of a set, its entries aside. `references` are of rules and sets."""

    name: str
    kind: Kind
    entries: int
    references: int
    maxelem: int


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One entry as dumped. `key` is `key_of` an address, or a port; None left: it stays."""

    key: int
    left_s: int | None
    packets: int = 0
    bytes: int = 0


#: the lowest revision of each type that knows timeouts and counters, so that old tools can list
REVISIONS = {"hash:ip": 1, "hash:net": 3, "bitmap:port": 0}


def key_of(start: int, prefix: int) -> int:
    """Return one number for a CIDR."""
    return start << 8 | prefix


def _u8(kind: int, value: int) -> bytes:
    return attr(kind, bytes([value]))


def _be16(kind: int, value: int) -> bytes:
    return attr(kind | NET_ORDER, struct.pack("!H", value))


def _be32(kind: int, value: int) -> bytes:
    return attr(kind | NET_ORDER, struct.pack("!I", value))


def _named(name: str) -> bytes:
    return _u8(1, PROTOCOL) + text(2, name)


def create(name: str, kind: Kind, maxelem: int, hashsize: int) -> Command:
    """Return what makes a set; one of the same name is an error (EEXIST)."""
    if kind.typename == "bitmap:port":
        data = _be16(4, 0) + _be16(5, 0xFFFF)
    else:
        data = _be32(18, hashsize) + _be32(19, maxelem)
        if kind.timed:
            data += _be32(6, 0)  # no default: an entry says for how long it is
        if kind.counted:
            data += _be32(8, CreateFlag.COUNTERS)
    body = _named(name) + text(3, kind.typename) + _u8(4, REVISIONS[kind.typename])
    body += _u8(5, FAMILIES[kind.version]) + nest(7, data)
    return Command(Cmd.CREATE, kind.version, body, EXCL)


def destroy(name: str) -> Command:
    """Return what removes a set that nothing refers to."""
    return Command(Cmd.DESTROY, 0, _named(name))


def flush(name: str) -> Command:
    """Return what empties a set."""
    return Command(Cmd.FLUSH, 0, _named(name))


def swap(one: str, other: str) -> Command:
    """Return what exchanges the contents of two sets; what refers to a name stays with it."""
    return Command(Cmd.SWAP, 0, _named(one) + text(3, other))


def list_headers() -> Command:
    """Return the request for every set's header; for a dump."""
    return Command(Cmd.LIST, 0, _u8(1, PROTOCOL) + _be32(6, 1 << 2))  # IPSET_FLAG_LIST_HEADER


def list_entries(name: str) -> Command:
    """Return the request for a set's entries; for a dump."""
    return Command(Cmd.LIST, 0, _named(name))


def ask_protocol() -> Command:
    """Return the request for the protocol versions that the kernel speaks."""
    return Command(Cmd.PROTOCOL, 0, _u8(1, PROTOCOL))


_HEAD = struct.Struct("=HHHHHH")
_TIMEOUT = NLA.pack(8, 6 | NET_ORDER)
_CIDR = NLA.pack(5, 3)
_TIMED = {4: struct.Struct(">12sI4sI"), 6: struct.Struct(">12s16s4sI")}
_BARE = {4: struct.Struct(">12sI"), 6: struct.Struct(">12s16s")}
_TIMED_NET = {4: struct.Struct(">12sI4sB3x4sI"), 6: struct.Struct(">12s16s4sB3x4sI")}
_BARE_NET = {4: struct.Struct(">12sI4sB3x"), 6: struct.Struct(">12s16s4sB3x")}


def _head(version: int, entry_bytes: int, order: int = NET_ORDER) -> bytes:
    """Open a DATA with an IP in it; the kernel leaves out the mark of its order in a dump."""
    size = BITS[version] // 8
    kind = (1 if version == 4 else 2) | order  # IPSET_ATTR_IPADDR_IPV4, _IPV6
    data, ip = 7 | NLA_NESTED, 1 | NLA_NESTED
    return _HEAD.pack(entry_bytes, data, size + 8, ip, size + 4, kind)


def _wide(version: int, address: int) -> int | bytes:
    return address if version == 4 else address.to_bytes(16, "big")


def pack_entries(kind: Kind, keys: Iterable[int], left_s: Iterable[int] | None) -> Iterator[bytes]:
    """Yield entries as bytes; without `left_s` (whole seconds each) for a set without timeouts."""
    version = kind.version
    if kind.typename == "bitmap:port":
        yield from (nest(7, _be16(4, port)) for port in keys)
        return
    is_net = kind.typename == "hash:net"
    form = (_TIMED_NET if is_net else _TIMED) if left_s is not None else None
    packer = (form or (_BARE_NET if is_net else _BARE))[version]
    pack, head = packer.pack, _head(version, packer.size)
    if left_s is None and is_net:
        yield from (pack(head, _wide(version, k >> 8), _CIDR, k & 0xFF) for k in keys)
    elif left_s is None:
        yield from (pack(head, _wide(version, k >> 8)) for k in keys)
    elif is_net:
        for key, left in zip(keys, left_s, strict=True):
            yield pack(head, _wide(version, key >> 8), _CIDR, key & 0xFF, _TIMEOUT, left)
    elif version == 4:
        for key, left in zip(keys, left_s, strict=True):
            yield pack(head, key >> 8, _TIMEOUT, left)
    else:
        for key, left in zip(keys, left_s, strict=True):
            yield pack(head, (key >> 8).to_bytes(16, "big"), _TIMEOUT, left)


def add(name: str, kind: Kind, held: Mapping[int, int]) -> Iterator[Command]:
    """Yield what puts keys with their seconds left into a set, many at a time.

    What is there already gets the new deadline and keeps its counters.
    """
    entries = pack_entries(kind, held, held.values() if kind.timed else None)
    return _bulk(Cmd.ADD, name, kind, entries)


def delete(name: str, kind: Kind, keys: Iterable[int]) -> Iterator[Command]:
    """Yield what takes keys out of a set; what is not there is no error."""
    return _bulk(Cmd.DEL, name, kind, pack_entries(kind, keys, None))


def test(name: str, kind: Kind, key: int) -> Command:
    """Return the question whether a set holds a key: acknowledged, or Err.EXIST."""
    (entry,) = pack_entries(kind, [key], None)
    return Command(Cmd.TEST, kind.version, _named(name) + entry)


def _bulk(cmd: Cmd, name: str, kind: Kind, entries: Iterator[bytes]) -> Iterator[Command]:
    first = next(entries, None)
    if first is None:
        return
    most = LIST_BYTES // len(first)
    start = _named(name) + _be32(9, 0)  # IPSET_ATTR_LINENO must be there
    part = [first, *islice(entries, most - 1)]
    while part:
        packed = b"".join(part)
        adt = NLA.pack(len(packed) + 4, 8 | NLA_NESTED) + packed
        yield Command(cmd, kind.version, start + adt)
        part = list(islice(entries, most))


def frame(commands: Sequence[Command], first_sequence: int, flags: int) -> bytes:
    """Return messages back to back, numbered from `first_sequence`."""
    out = bytearray()
    for sequence, c in enumerate(commands, first_sequence):
        length = HEADER.size + FAMILY.size + len(c.payload)
        kind = SUBSYSTEM << 8 | c.cmd
        out += HEADER.pack(length, kind, c.flags | flags | Nlm.REQUEST, sequence, 0)
        out += FAMILY.pack(FAMILIES[c.version], 0, 0, 0)
        out += c.payload
    return bytes(out)


def read_protocol(reply: Reply) -> tuple[int, int]:
    """Return (oldest, newest) protocol version."""
    fields = parse(reply.payload)
    newest = _number(fields, 1)
    return _number(fields, 10) or newest, newest  # IPSET_ATTR_PROTOCOL_MIN


def read_header(reply: Reply) -> Header | None:
    """Return what a LIST answer says of its set; None for one that goes on with entries."""
    fields = parse(reply.payload)
    if 3 not in fields:
        return None
    data = parse(fields.get(7, b""))
    family = _number(fields, 5)
    return Header(
        name=_text(fields.get(2, b"")),
        kind=Kind(
            typename=_text(fields[3]),
            version=next((v for v, f in FAMILIES.items() if f == family), 0),
            timed=6 in data,
            counted=bool(_number(data, 8) & CreateFlag.COUNTERS),
        ),
        entries=_number(data, 24),
        references=_number(data, 25),
        maxelem=_number(data, 19),
    )


def read_entries(reply: Reply) -> Iterator[Entry]:
    """Yield the entries of one LIST answer."""
    for _kind, data in walk(parse(reply.payload).get(8, b"")):
        yield _entry(parse(data))


def read_left(reply: Reply) -> dict[int, int | None]:
    """Return the keys of one LIST answer and their seconds left, None for good."""
    block = parse(reply.payload).get(8, b"")
    for version, form in _TIMED.items():
        if not block or len(block) % form.size:
            continue
        rows, head, bits = (
            list(form.iter_unpack(block)),
            _head(version, form.size, 0),
            BITS[version],
        )
        # nearly all are alike: addresses with a timeout
        if any(row[0] != head or row[2] != _TIMEOUT for row in rows):
            continue
        if version == 4:
            return {row[1] << 8 | bits: row[3] or None for row in rows}
        return {int.from_bytes(row[1], "big") << 8 | bits: row[3] or None for row in rows}
    return {entry.key: entry.left_s for entry in read_entries(reply)}


def _entry(fields: Mapping[int, bytes]) -> Entry:
    if 4 in fields:
        return Entry(_number(fields, 4), None)
    ip = parse(fields.get(1, b""))
    version, raw = (4, ip[1]) if 1 in ip else (6, ip.get(2, bytes(16)))
    prefix = _number(fields, 3) or BITS[version]
    return Entry(
        key=key_of(int.from_bytes(raw, "big"), prefix),
        left_s=_number(fields, 6) or None,
        packets=_number(fields, 25),
        bytes=_number(fields, 24),
    )


def _number(fields: Mapping[int, bytes], kind: int) -> int:
    return int.from_bytes(fields.get(kind, b""), "big")


def _text(field: bytes) -> str:
    return field.rstrip(b"\0").decode(errors="replace")
