"""Queueing disciplines and HTB's classes as rtnetlink messages, both ways. Pure.

Names in comments are those of the kernel headers linux/rtnetlink.h and linux/pkt_sched.h. All
numbers are of the host's order. Framing and attributes are those of `nft_wire`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from excise.enforce.nft_wire import HEADER, Nlm, Reply, attr, nest, parse, text

ROOT = 0xFFFFFFFF  # TC_H_ROOT
#: the major number of our disciplines, by which they are told from others'
HANDLE = 0xE8C5_0000
REPLACE = 0x100  # NLM_F_REPLACE
EXCLUSIVE = 0x200  # NLM_F_EXCL
TCMSG = struct.Struct("=BBHiIII")  # tcmsg: family, pads, interface, handle, parent, info
IFINFOMSG = struct.Struct("=BBHiII")  # ifinfomsg: family, pad, type, index, flags, change
#: of both, the family and its padding are taken off by `unframe`
FAMILY_BYTES = 4
RATESPEC = struct.Struct("=BBHhHI")  # tc_ratespec
ETHERNET = 1  # TC_LINKLAYER_ETHERNET: the kernel then needs no rate table
TICK_NS = 64  # PSCHED_TICKS2NS
MOST_RATE = (1 << 32) - 1  # bytes/s; above it is no throttle
#: what a class may send at once: two full frames, or what its rate gives in 10 ms
BURST_BYTES, BURST_SHARE = 3_200, 100
QUANTUM_BYTES = 1_514


class Rtm(IntEnum):
    """RTM_*."""

    GETLINK = 18
    NEWQDISC = 36
    DELQDISC = 37
    GETQDISC = 38
    NEWTCLASS = 40
    DELTCLASS = 41


@dataclass(frozen=True, slots=True)
class Request:
    """One rtnetlink message before it has a sequence number."""

    type: Rtm
    body: bytes
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Qdisc:
    """A discipline at an interface's root. `handle` 0: the kernel's own choice."""

    index: int
    kind: str
    handle: int

    @property
    def is_ours(self) -> bool:
        """Whether this daemon, or an earlier run, made it."""
        return self.kind == "htb" and self.handle == HANDLE


def frame(requests: Iterable[Request], first_sequence: int) -> bytes:
    """Return requests back to back, numbered from `first_sequence`."""
    out = bytearray()
    for sequence, r in enumerate(requests, first_sequence):
        out += HEADER.pack(HEADER.size + len(r.body), r.type, r.flags | Nlm.REQUEST, sequence, 0)
        out += r.body
    return bytes(out)


def ask_link(name: str) -> Request:
    """Return the question for an interface by its name."""
    return Request(Rtm.GETLINK, IFINFOMSG.pack(0, 0, 0, 0, 0, 0) + text(3, name))  # IFLA_IFNAME


def index_of(reply: Reply) -> int:
    """Return the number of the interface that an answer is about."""
    (index,) = struct.unpack_from("=i", reply.payload)
    return int(index)


def ask_qdiscs() -> Request:
    """Return the question for all disciplines."""
    return Request(Rtm.GETQDISC, TCMSG.pack(0, 0, 0, 0, 0, 0, 0), Nlm.DUMP)


def roots(replies: Iterable[Reply]) -> Iterator[Qdisc]:
    """Yield the disciplines that are at an interface's root."""
    for reply in replies:
        index, handle, parent, _info = struct.unpack_from("=iIII", reply.payload)
        kind = parse(reply.payload[TCMSG.size - FAMILY_BYTES :]).get(1, b"")  # TCA_KIND
        if parent == ROOT:
            yield Qdisc(index, kind.rstrip(b"\0").decode(errors="replace"), handle)


def put_qdisc(index: int) -> Request:
    """Return what makes our discipline the root; what is in no class passes directly."""
    # TCA_HTB_INIT: version 3, rate2quantum 10, default class 0, debug, direct_pkts
    init = attr(2, struct.pack("=IIIII", 3, 10, 0, 0, 0))
    body = TCMSG.pack(0, 0, 0, index, HANDLE, ROOT, 0) + text(1, "htb") + nest(2, init)
    return Request(Rtm.NEWQDISC, body, Nlm.CREATE | EXCLUSIVE)


def remove_root(index: int) -> Request:
    """Return what removes our discipline, so that the kernel's default takes its place."""
    return Request(Rtm.DELQDISC, TCMSG.pack(0, 0, 0, index, HANDLE, ROOT, 0))


def put_class(index: int, minor: int, rate: int) -> Request:
    """Return what makes a class, or changes its rate (bytes/s) while it is in use."""
    rate = min(rate, MOST_RATE)
    spec = RATESPEC.pack(0, ETHERNET, 0, 0, 0, rate)
    burst_bytes = max(BURST_BYTES, rate // BURST_SHARE)
    ticks = min(burst_bytes * 1_000_000_000 // rate // TICK_NS, MOST_RATE)
    # tc_htb_opt: rate, ceil, buffer, cbuffer, quantum, level, priority
    parameters = spec + spec + struct.pack("=IIIII", ticks, ticks, QUANTUM_BYTES, 0, 0)
    body = TCMSG.pack(0, 0, 0, index, HANDLE | minor, HANDLE, 0)
    body += text(1, "htb") + nest(2, attr(1, parameters))  # TCA_HTB_PARMS
    return Request(Rtm.NEWTCLASS, body, Nlm.CREATE | REPLACE)


def remove_class(index: int, minor: int) -> Request:
    """Return what removes a class; what waits in it is lost."""
    return Request(Rtm.DELTCLASS, TCMSG.pack(0, 0, 0, index, HANDLE | minor, 0, 0))
