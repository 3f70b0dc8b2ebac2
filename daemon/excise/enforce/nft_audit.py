"""Listens for who changed the ruleset (NFNLGRP_NFTABLES). It explains; nothing depends on it.

After each transaction the kernel tells every listener all that was done, and last, with
NFT_MSG_NEWGEN, which process did it. A filter in the kernel keeps our own changes and others'
elements away, and around our own bulks the group is left: a listener makes the kernel describe
every element (100,000 hosts: 1.3 to 1.6 times as long), with nobody listening it need not.
"""

from __future__ import annotations

import array
import errno
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pyroute2.netlink import NETLINK_NETFILTER
from pyroute2.netlink.nlsocket import AsyncNetlinkSocket

from excise.enforce.base import ForeignChange, Witnessed
from excise.enforce.nft_layout import TABLE, VERSIONS
from excise.enforce.nft_socket import DATAGRAM_BYTES, SO_RCVBUFFORCE, SOL_NETLINK
from excise.enforce.nft_wire import FAMILY, HEADER, SUBSYSTEM, Msg, parse

NFNLGRP_NFTABLES = 7  # linux/netfilter/nfnetlink.h
ADD_MEMBERSHIP, DROP_MEMBERSHIP = 1, 2  # NETLINK_*, linux/netlink.h
SO_ATTACH_FILTER = 26  # asm-generic/socket.h
RECEIVE_BYTES = 1 << 20
#: datagrams read in one go; the rest waits for the next look
MOST_DATAGRAMS = 256
#: deeds of one transaction told apart
MOST_DEEDS = 64
FAMILY_NAMES = {2: "ip", 10: "ip6"}
#: message → what was done, and the attribute that names the thing in its table
DEEDS: dict[int, tuple[str, str, int]] = {
    Msg.NEWTABLE: ("changed", "table", 0),
    Msg.DELTABLE: ("deleted", "table", 0),
    Msg.NEWCHAIN: ("changed", "chain", 3),
    Msg.DELCHAIN: ("deleted", "chain", 3),
    Msg.NEWRULE: ("added rules to", "chain", 2),
    Msg.DELRULE: ("deleted rules of", "chain", 2),
    Msg.NEWSET: ("changed", "set", 2),
    Msg.DELSET: ("deleted", "set", 2),
    Msg.NEWSETELEM: ("added elements to", "set", 2),
    Msg.DELSETELEM: ("deleted elements of", "set", 2),
}


class Transcript:
    """Makes of datagrams what others did to our tables; `own_port` is our socket's. Pure."""

    def __init__(self, own_port: int) -> None:
        self._own_port = own_port
        self._deeds: dict[str, None] = {}  # in order, each once

    def feed(self, datagram: bytes) -> Iterator[ForeignChange]:
        """Yield the transactions that end in a datagram; those without deeds are not about us."""
        for kind, port, family, payload in _messages(datagram):
            if port == self._own_port:
                continue
            fields = parse(payload)
            if kind == Msg.NEWGEN:
                yield ForeignChange(
                    pid=int.from_bytes(fields.get(2, b""), "big"),  # NFTA_GEN_PROC_PID
                    process=_text(fields.get(3, b"")),  # NFTA_GEN_PROC_NAME
                    deeds=tuple(_summary(self._deeds)),
                )
                self._deeds = {}
            elif kind in DEEDS and family in VERSIONS and _text(fields.get(1, b"")) == TABLE:
                self._note(kind, FAMILY_NAMES[family], fields)

    def forget(self) -> None:
        """Begin anew after a loss: what was noted may belong to another transaction."""
        self._deeds = {}

    def _note(self, kind: int, family: str, fields: dict[int, bytes]) -> None:
        verb, what, name = DEEDS[kind]
        own_name = f" {_text(fields.get(name, b''))}" if name else ""
        deed = f"{verb} {what} {family} {TABLE}{own_name}"
        # a whole table stands for all that went with it, which alone may be more than is kept
        if len(self._deeds) < MOST_DEEDS or what == "table":
            self._deeds[deed] = None


class NftAudit:
    """One listening socket; `own_port` is the netlink port that our changes come from.

    Raises OSError where it may not listen.
    """

    def __init__(self, own_port: int, netns: str | None = None) -> None:
        self._transcript = Transcript(own_port)
        spec = AsyncNetlinkSocket(family=NETLINK_NETFILTER, netns=netns)
        self._socket: socket.socket = spec.setup_socket()
        try:
            self._socket.setblocking(False)
            self._enlarge()
            program = kernel_filter(own_port)
            # struct sock_fprog, linux/filter.h; the kernel copies the program
            fprog = struct.pack("HP", len(program) // 8, program.buffer_info()[0])
            self._socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, fprog)
            self._socket.bind((0, 0))
            self._join()
        except OSError:
            self._socket.close()
            raise

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Do not listen meanwhile; what others do then stays without a name."""
        self._socket.setsockopt(SOL_NETLINK, DROP_MEMBERSHIP, NFNLGRP_NFTABLES)
        try:
            yield
        finally:
            self._join()

    def witnessed(self) -> Witnessed:
        """Return what was heard since the last time; does not wait. Raises OSError."""
        changes: list[ForeignChange] = []
        others = lost = 0
        for _ in range(MOST_DATAGRAMS):
            try:
                datagram = self._socket.recv(DATAGRAM_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                lost += 1
                self._transcript.forget()
                continue
            for change in self._transcript.feed(datagram):
                if change.deeds:
                    changes.append(change)
                else:
                    others += 1
        return Witnessed(tuple(changes), others, lost, listening=True)

    def _join(self) -> None:
        self._socket.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, NFNLGRP_NFTABLES)

    def _enlarge(self) -> None:
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BYTES)
        except PermissionError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)


def kernel_filter(own_port: int) -> array.array[int]:
    """Return a classic BPF program (linux/filter.h) that lets through what others do.

    It sees the first message of a datagram: nlmsghdr, nfgenmsg, and the attribute with the
    table's name. Not let through are our own changes, and elements of tables not named like ours.
    """
    load, load_half, equal, answer = 0x20, 0x28, 0x15, 0x06  # BPF_LD|W|ABS, |H, JMP|JEQ|K, RET|K
    name = (TABLE + "\0").encode().ljust(8, b"\0")
    program = [
        (load, 0, 0, 12),  # nlmsg_pid
        (equal, 8, 0, _as_loaded("=I", own_port)),
        (load_half, 0, 0, 4),  # nlmsg_type
        (equal, 1, 0, _as_loaded("=H", SUBSYSTEM << 8 | Msg.NEWSETELEM)),
        (equal, 0, 4, _as_loaded("=H", SUBSYSTEM << 8 | Msg.DELSETELEM)),
        (load, 0, 0, 24),
        (equal, 0, 3, int.from_bytes(name[:4], "big")),
        (load, 0, 0, 28),
        (equal, 0, 1, int.from_bytes(name[4:], "big")),
        (answer, 0, 0, 0xFFFFFFFF),
        (answer, 0, 0, 0),
    ]
    return array.array("B", b"".join(struct.pack("=HBBI", *step) for step in program))


def _as_loaded(form: str, number: int) -> int:
    """Return a number of the host's order as BPF, which loads big-endian, sees it."""
    return int.from_bytes(struct.pack(form, number), "big")


def _messages(datagram: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield (Msg, sender's port, family, attributes); a torn tail ends it."""
    at = 0
    while at + HEADER.size + FAMILY.size <= len(datagram):
        length, kind, _flags, _sequence, port = HEADER.unpack_from(datagram, at)
        if length < HEADER.size + FAMILY.size or at + length > len(datagram):
            return
        if kind >> 8 == SUBSYSTEM:
            body = datagram[at + HEADER.size : at + length]
            yield kind & 0xFF, port, body[0], body[FAMILY.size :]
        at += (length + 3) & ~3


def _summary(deeds: Iterable[str]) -> Iterator[str]:
    """Yield what was done; what went with a whole table is not told apart."""
    gone = [deed.split(" table ")[1] for deed in deeds if deed.startswith("deleted table ")]
    for deed in deeds:
        if not any(f" {table} " in deed for table in gone):
            yield deed


def _text(field: bytes) -> str:
    return field.rstrip(b"\0").decode(errors="replace")
