"""Carries nftables messages to the kernel and back over pyroute2's netlink socket.

Nothing here waits without a bound: the kernel does a request within sendmsg, so an answer that
is not there within seconds will never come.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator, Sequence

from pyroute2.netlink import NETLINK_NETFILTER
from pyroute2.netlink.nlsocket import AsyncNetlinkSocket

from excise.enforce.nft_wire import (
    NLMSG_DONE,
    NLMSG_ERROR,
    KernelError,
    Message,
    Msg,
    Nlm,
    Reply,
    batch,
    frame,
    kernel_error,
    unframe,
)
from excise.errors import (
    DivergedError,
    EnforceError,
    ForeignTableError,
    PrivilegeError,
    UnsupportedError,
)

SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33  # asm-generic/socket.h; Python has no names for them
SOL_NETLINK, NETLINK_CAP_ACK = 270, 10  # linux/socket.h, linux/netlink.h
SEND_BYTES, RECEIVE_BYTES = 32 << 20, 8 << 20
DATAGRAM_BYTES = 1 << 16
#: requests under way at once: their answers must fit into a receive buffer that was not enlarged
PIPELINED = 64
DUMP_TRIES = 5
#: the kernel holds something else than we thought
DIVERGED = {errno.ENOENT, errno.EEXIST, errno.ENFILE, errno.EBUSY, errno.ERESTART, errno.ENOBUFS}
UNSUPPORTED = {errno.EOPNOTSUPP, errno.EINVAL}


class NftSocket:
    """One netlink socket to nftables; `netns` names a network namespace other than our own.

    Not for several threads at once. Raises PrivilegeError, DivergedError, ForeignTableError,
    UnsupportedError, or EnforceError for the rest.
    """

    def __init__(self, netns: str | None = None, wait_s: float = 10.0) -> None:
        spec = AsyncNetlinkSocket(family=NETLINK_NETFILTER, ext_ack=True, netns=netns)
        self._socket: socket.socket = spec.setup_socket()
        self._socket.settimeout(wait_s)
        self._socket.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        self._enlarge(SO_SNDBUFFORCE, socket.SO_SNDBUF, SEND_BYTES)
        self._enlarge(SO_RCVBUFFORCE, socket.SO_RCVBUF, RECEIVE_BYTES)
        self._wait_s = wait_s
        self._sequence = 0

    @property
    def limit_bytes(self) -> int:
        """Most bytes that one transaction may have (netlink_sendmsg: sk_sndbuf less a bit)."""
        return self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) - 1024

    @property
    def port(self) -> int:
        """The port that the kernel tells others our changes come from."""
        return int(self._socket.getsockname()[0])

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def commit(self, messages: Sequence[Message]) -> None:
        """Do all of it in one transaction, or nothing."""
        if not messages:
            return None
        first = self._send(batch(messages))
        last = first + len(messages)
        failed: tuple[int, KernelError] | None = None
        while True:
            for reply in self._receive():
                if not first <= reply.sequence <= last or reply.type != -NLMSG_ERROR:
                    continue
                told = kernel_error(reply)
                if told.errno and failed is None:
                    failed = (reply.sequence, told)
                # an answer to the batch's first header is about all of it; no other follows
                if reply.sequence in {first, last}:
                    return self._judge(messages, first, failed)

    def ask(self, message: Message) -> list[Reply]:
        """Return all answers to a dump request; asks anew when a change tore the dump."""
        for _ in range(DUMP_TRIES):
            replies = self._dump(message)
            if not any(reply.flags & Nlm.DUMP_INTR for reply in replies):
                return [reply for reply in replies if reply.type != -NLMSG_DONE]
        raise DivergedError(
            f"the ruleset changed under {DUMP_TRIES} reads in a row; something else rewrites it"
            " all the time: find it with 'nft monitor'"
        )

    def ask_each(self, messages: Sequence[Message]) -> Iterator[Reply | KernelError]:
        """Yield the one answer to each request, in order; what found nothing is a KernelError.

        Each is acknowledged as well: asked for the end of a span that reaches the end of the
        address space, the kernel (6.18) says nothing at all.
        """
        for at in range(0, len(messages), PIPELINED):
            part = [
                Message(m.type, m.family, m.payload, m.flags | Nlm.ACK)
                for m in messages[at : at + PIPELINED]
            ]
            first = self._send(part)
            answers: dict[int, Reply] = {}
            done: dict[int, KernelError] = {}
            while len(done) < len(part):
                for reply in self._receive():
                    if not first <= reply.sequence < first + len(part):
                        continue
                    if reply.type == -NLMSG_ERROR:
                        done[reply.sequence] = kernel_error(reply)
                    else:
                        answers[reply.sequence] = reply
            for sequence in range(first, first + len(part)):
                yield answers.get(sequence, done[sequence])

    def ask_several(self, message: Message) -> list[Reply]:
        """Return the answers to a request about several things, up to the first that is missing."""
        sequence = self._send([Message(message.type, message.family, message.payload, Nlm.ACK)])
        replies: list[Reply] = []
        while True:
            for reply in self._receive():
                if reply.sequence != sequence:
                    continue
                if reply.type == -NLMSG_ERROR:
                    return replies
                replies.append(reply)

    def _dump(self, message: Message) -> list[Reply]:
        asked = Message(message.type, message.family, message.payload, Nlm.DUMP)
        sequence = self._send([asked])
        replies: list[Reply] = []
        while True:
            for reply in self._receive():
                if reply.sequence != sequence:
                    continue
                replies.append(reply)
                if reply.type in {-NLMSG_ERROR, -NLMSG_DONE}:
                    told = kernel_error(reply)
                    if told.errno:
                        raise error_for(told, f"reading {Msg(message.type).name}", whole=True)
                    return replies

    def _judge(
        self, messages: Sequence[Message], first: int, failed: tuple[int, KernelError] | None
    ) -> None:
        if failed is None:
            return
        sequence, told = failed
        whole = sequence == first
        what = "starting" if whole else Msg(messages[sequence - first - 1].type).name
        raise error_for(told, f"{what} in a transaction of {len(messages)} messages", whole=whole)

    def _send(self, messages: Sequence[Message]) -> int:
        first = self._sequence + 1
        # 31 bits, so that a range of numbers never wraps
        self._sequence = (self._sequence + len(messages)) % (1 << 31)
        if self._sequence < first:
            first, self._sequence = 1, len(messages)
        try:
            self._socket.send(frame(messages, first))
        except OSError as e:
            raise error_for(KernelError(e.errno or 0, ""), "sending", whole=True) from e
        return first

    def _receive(self) -> Iterator[Reply]:
        try:
            return unframe(self._socket.recv(DATAGRAM_BYTES))
        except TimeoutError as e:
            raise EnforceError(
                f"the kernel gave no answer over netlink within {self._wait_s:g} s; nothing more"
                " is known of the change: read the ruleset again"
            ) from e
        except OSError as e:
            raise error_for(KernelError(e.errno or 0, ""), "receiving", whole=True) from e

    def _enlarge(self, force: int, plain: int, size: int) -> None:
        """Ask for a large buffer; without CAP_NET_ADMIN in the first namespace a capped one."""
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, force, size)
        except PermissionError:
            self._socket.setsockopt(socket.SOL_SOCKET, plain, size)


def error_for(told: KernelError, doing: str, *, whole: bool) -> EnforceError:
    """Return the error for an errno; `whole`: it is about the request, not one of its parts."""
    said = f"nftables: {os.strerror(told.errno)} ({doing}" + (
        f": {told.text})" if told.text else ")"
    )
    if told.errno == errno.EPERM and whole:
        return PrivilegeError(
            f"{said}; this takes CAP_NET_ADMIN: run as root, or give the unit"
            " AmbientCapabilities=CAP_NET_ADMIN, or set posture: observe or enforcer: dry-run"
        )
    if told.errno == errno.EPERM:
        return ForeignTableError(
            f"{said}; another running process owns the table 'excise': stop it first"
        )
    if told.errno in DIVERGED:
        return DivergedError(f"{said}; the tables must be built anew")
    if told.errno in UNSUPPORTED:
        return UnsupportedError(f"{said}; this kernel lacks something: 5.11 or newer is needed")
    return EnforceError(f"{said}; see the kernel's log")
