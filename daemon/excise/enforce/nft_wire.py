"""nftables messages as bytes, both ways. Pure: values in, values out, no socket.

Names in comments are those of the kernel headers linux/netlink.h, linux/netfilter/nfnetlink.h
and linux/netfilter/nf_tables.h. Numbers inside attributes are big-endian, headers are of the
host's order.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag

NLMSG_ERROR = 2  # NLMSG_ERROR
NLMSG_DONE = 3  # NLMSG_DONE
#: negative, as they are no messages of the subsystem: 0x10 there is NFT_MSG_GETGEN
BATCH_BEGIN = -0x10  # NFNL_MSG_BATCH_BEGIN
BATCH_END = -0x11  # NFNL_MSG_BATCH_END
SUBSYSTEM = 10  # NFNL_SUBSYS_NFTABLES
NLA_NESTED = 0x8000  # NLA_F_NESTED
NLA_TYPE = 0x3FFF  # NLA_TYPE_MASK

HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
FAMILY = struct.Struct("=BBBB")  # nfgenmsg: family, version, res_id in two bytes
NLA = struct.Struct("=HH")


class Msg(IntEnum):
    """nf_tables_msg_types."""

    NEWTABLE = 0
    GETTABLE = 1
    DELTABLE = 2
    NEWCHAIN = 3
    GETCHAIN = 4
    DELCHAIN = 5
    NEWRULE = 6
    GETRULE = 7
    DELRULE = 8
    NEWSET = 9
    GETSET = 10
    DELSET = 11
    NEWSETELEM = 12
    GETSETELEM = 13
    DELSETELEM = 14
    NEWGEN = 15
    GETGEN = 16
    GETFLOWTABLE = 23


class Nlm(IntFlag):
    """NLM_F_*."""

    REQUEST = 0x1
    MULTI = 0x2
    ACK = 0x4
    DUMP_INTR = 0x10
    DUMP = 0x300
    CREATE = 0x400
    APPEND = 0x800


@dataclass(frozen=True, slots=True)
class Message:
    """One nftables message before it has a sequence number; `family` is an NFPROTO_*."""

    type: int
    family: int
    payload: bytes
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """One message from the kernel. `type` is a Msg, or NLMSG_ERROR or NLMSG_DONE as negative."""

    type: int
    flags: int
    sequence: int
    family: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class KernelError:
    """What an NLMSG_ERROR says: positive errno (0: acknowledged) and the kernel's own words."""

    errno: int
    text: str


def attr(kind: int, payload: bytes) -> bytes:
    """Return one attribute, padded to four bytes."""
    return NLA.pack(len(payload) + 4, kind) + payload + bytes(-len(payload) % 4)


def nest(kind: int, *parts: bytes) -> bytes:
    """Return a nested attribute of packed attributes."""
    return attr(kind | NLA_NESTED, b"".join(parts))


def text(kind: int, value: str) -> bytes:
    """Return a NUL-terminated string attribute."""
    return attr(kind, value.encode() + b"\0")


def be32(kind: int, value: int) -> bytes:
    """Return a 32-bit attribute; negative values as two's complement."""
    return attr(kind, struct.pack("!I", value & 0xFFFFFFFF))


def be64(kind: int, value: int) -> bytes:
    """Return a 64-bit attribute."""
    return attr(kind, struct.pack("!Q", value))


def parse(payload: bytes) -> dict[int, bytes]:
    """Return the attributes of a payload by type; of two of one type the later wins."""
    return dict(walk(payload))


def walk(payload: bytes) -> list[tuple[int, bytes]]:
    """Return (type, payload) of each attribute; a torn tail ends the walk."""
    return [(kind & NLA_TYPE, body) for kind, body in walk_kinds(payload)]


def walk_kinds(payload: bytes) -> list[tuple[int, bytes]]:
    """As `walk`, with the flags that the types carry (NLA_NESTED)."""
    at, end = 0, len(payload)
    found = []
    while at + 4 <= end:
        length, kind = NLA.unpack_from(payload, at)
        if length < 4 or at + length > end:
            break
        found.append((kind, payload[at + 4 : at + length]))
        at += (length + 3) & ~3
    return found


def frame(messages: Iterable[Message], first_sequence: int) -> bytes:
    """Return messages back to back, numbered from `first_sequence`."""
    out = bytearray()
    for sequence, m in enumerate(messages, first_sequence):
        mark = m.type < 0
        kind = -m.type if mark else SUBSYSTEM << 8 | m.type
        length = HEADER.size + FAMILY.size + len(m.payload)
        out += HEADER.pack(length, kind, m.flags | Nlm.REQUEST, sequence, 0)
        # a batch's marks say which subsystem it is for, big-endian
        out += FAMILY.pack(m.family, 0, 0, SUBSYSTEM if mark else 0)
        out += m.payload
    return bytes(out)


def batch(messages: Sequence[Message]) -> list[Message]:
    """Wrap messages into one transaction that is acknowledged once, at its last message."""
    *rest, last = messages
    acked = Message(last.type, last.family, last.payload, last.flags | Nlm.ACK)
    return [Message(BATCH_BEGIN, 0, b""), *rest, acked, Message(BATCH_END, 0, b"")]


def transactions(units: Iterable[Sequence[Message]], most_bytes: int) -> Iterator[list[Message]]:
    """Gather messages into transactions; 64 bytes pay for a message's own headers."""
    part: list[Message] = []
    size = 0
    for unit in units:
        cost = sum(len(message.payload) + 64 for message in unit)
        if part and size + cost > most_bytes:
            yield part
            part, size = [], 0
        part += unit
        size += cost
    if part:
        yield part


def unframe(data: bytes) -> Iterator[Reply]:
    """Yield the messages of one datagram; a torn tail ends it."""
    at = 0
    while at + HEADER.size <= len(data):
        length, kind, flags, sequence, _port = HEADER.unpack_from(data, at)
        if length < HEADER.size or at + length > len(data):
            return
        body = data[at + HEADER.size : at + length]
        if kind in {NLMSG_ERROR, NLMSG_DONE}:
            yield Reply(-kind, flags, sequence, 0, body)
        else:
            family = body[0] if body else 0
            yield Reply(kind & 0xFF, flags, sequence, family, body[FAMILY.size :])
        at += (length + 3) & ~3


def kernel_error(reply: Reply) -> KernelError:
    """Read an NLMSG_ERROR or NLMSG_DONE (struct nlmsgerr with NETLINK_CAP_ACK and EXT_ACK)."""
    (code,) = struct.unpack_from("=i", reply.payload) if len(reply.payload) >= 4 else (0,)
    words = ""
    if reply.type == -NLMSG_ERROR:
        told = parse(reply.payload[4 + HEADER.size :])
        words = told.get(1, b"").rstrip(b"\0").decode(errors="replace")  # NLMSGERR_ATTR_MSG
    return KernelError(-code, words)
