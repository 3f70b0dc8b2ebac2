"""Carries traffic control's messages to the kernel and back over pyroute2's netlink socket.

pyroute2's own tc calls were measured first: 0.6 to 1.3 ms a class, since each carries two tables
of 1 KiB that the kernel has not needed since Linux 3.8, and a class cannot be removed without
naming a rate.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import replace

from pyroute2.netlink import NETLINK_ROUTE
from pyroute2.netlink.nlsocket import AsyncNetlinkSocket

from excise.enforce.nft_socket import DATAGRAM_BYTES, NETLINK_CAP_ACK, SOL_NETLINK
from excise.enforce.nft_wire import (
    NLMSG_DONE,
    NLMSG_ERROR,
    KernelError,
    Nlm,
    Reply,
    kernel_error,
    unframe,
)
from excise.enforce.tc_wire import Request, frame
from excise.errors import EnforceError, PrivilegeError

#: requests under way at once: their answers must fit into the receive buffer
PIPELINED = 64


class TcSocket:
    """One rtnetlink socket; `netns` names a network namespace other than our own.

    Not for several threads at once. Raises PrivilegeError, or EnforceError for the rest.
    """

    def __init__(self, netns: str | None = None, wait_s: float = 10.0) -> None:
        spec = AsyncNetlinkSocket(family=NETLINK_ROUTE, ext_ack=True, netns=netns)
        self._socket: socket.socket = spec.setup_socket()
        self._socket.settimeout(wait_s)
        self._socket.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def do(self, requests: Sequence[Request]) -> list[KernelError]:
        """Do each by itself; return what the kernel said to it, in order."""
        told: list[KernelError] = []
        for at in range(0, len(requests), PIPELINED):
            part = [replace(r, flags=r.flags | Nlm.ACK) for r in requests[at : at + PIPELINED]]
            first = self._send(part)
            done: dict[int, KernelError] = {}
            while len(done) < len(part):
                for reply in self._receive():
                    if reply.type == -NLMSG_ERROR:
                        done[reply.sequence] = kernel_error(reply)
            told += (done[sequence] for sequence in range(first, first + len(part)))
        return told

    def ask(self, request: Request) -> list[Reply]:
        """Return the answers to a question, or to a dump. Nothing where it is about nothing."""
        sequence = self._send([request])
        replies: list[Reply] = []
        while True:
            for reply in self._receive():
                if reply.sequence != sequence:
                    continue
                if reply.type == -NLMSG_DONE:
                    return replies
                if reply.type == -NLMSG_ERROR:
                    told = kernel_error(reply)
                    if told.errno in {0, errno.ENODEV}:
                        return []
                    raise error_for(told, f"asking {request.type.name}")
                replies.append(reply)
                if not request.flags & Nlm.DUMP:
                    return replies

    def _send(self, requests: Sequence[Request]) -> int:
        first = self._sequence + 1
        self._sequence = (self._sequence + len(requests)) % (1 << 31)
        if self._sequence < first:
            first, self._sequence = 1, len(requests)
        self._socket.send(frame(requests, first))
        return first

    def _receive(self) -> Iterator[Reply]:
        try:
            return unframe(self._socket.recv(DATAGRAM_BYTES))
        except OSError as e:
            raise EnforceError(f"tc: no answer over netlink: {e}") from e


def error_for(told: KernelError, doing: str) -> EnforceError:
    """Return the error for an errno."""
    said = f"tc: {os.strerror(told.errno)} ({doing}" + (f": {told.text})" if told.text else ")")
    if told.errno == errno.EPERM:
        return PrivilegeError(f"{said}; shaping takes CAP_NET_ADMIN, or leave nft.shaping out")
    if told.errno in {errno.ENOENT, errno.EOPNOTSUPP}:
        return EnforceError(f"{said}; is HTB (sch_htb) there? or leave nft.shaping out")
    return EnforceError(f"{said}; leave nft.shaping out if this goes on")
