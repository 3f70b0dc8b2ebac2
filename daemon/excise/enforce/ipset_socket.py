"""Carries ipset messages to the kernel and back over pyroute2's netlink socket.

The kernel does a request within sendmsg, so an answer that is not there within seconds will
never come: nothing here waits without a bound.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable, Iterator, Sequence

from pyroute2.netlink import NETLINK_NETFILTER
from pyroute2.netlink.nlsocket import AsyncNetlinkSocket

from excise.enforce.ipset_wire import Cmd, Command, Err, frame
from excise.enforce.nft_wire import NLMSG_DONE, NLMSG_ERROR, Nlm, Reply, kernel_error, unframe
from excise.errors import (
    DivergedError,
    EnforceError,
    ForeignTableError,
    PrivilegeError,
    UnsupportedError,
)

SOL_NETLINK, NETLINK_CAP_ACK = 270, 10  # linux/socket.h, linux/netlink.h
SO_RCVBUFFORCE = 33  # asm-generic/socket.h; Python has no name for it
RECEIVE_BYTES = 4 << 20
#: a dump's part, or an error with the whole message that caused it
DATAGRAM_BYTES = 1 << 17
#: messages sent at once; their acknowledgements must fit into a buffer that was not enlarged
PIPELINED = 64
#: bytes sent at once: below the smallest usual send buffer
SEND_BYTES = 128 * 1024
#: codes, the error that they mean, and what to do next
MEANING: tuple[tuple[set[int], tuple[type[EnforceError], str]], ...] = (
    (
        {errno.EPERM},
        (
            PrivilegeError,
            (
                "this takes CAP_NET_ADMIN: run as root, or give the unit"
                " AmbientCapabilities=CAP_NET_ADMIN, or set posture: observe or enforcer: dry-run"
            ),
        ),
    ),
    ({Err.HASH_FULL}, (DivergedError, "the sets must be built anew, with more room")),
    (
        {errno.ENOENT, errno.EEXIST, errno.ENOBUFS, Err.EXIST},
        (DivergedError, "the sets must be built anew"),
    ),
    (
        {Err.TYPE_MISMATCH},
        (
            ForeignTableError,
            (
                "a set of our name (excise…) was not made by this daemon: look at it with"
                " 'ipset list -t', then rename or destroy it"
            ),
        ),
    ),
    (
        # a kernel without the subsystem answers EINVAL to its messages
        {errno.EOPNOTSUPP, errno.EINVAL, Err.PROTOCOL, Err.FIND_TYPE},
        (
            UnsupportedError,
            (
                "this kernel lacks ipset or one of the types hash:ip, hash:net and bitmap:port:"
                " load them (modprobe -a ip_set_hash_ip ip_set_hash_net ip_set_bitmap_port xt_set),"
                " or use enforcer: nftables"
            ),
        ),
    ),
    ({Err.MAX_SETS}, (EnforceError, "destroy sets that nobody uses: see 'ipset list -t'")),
)
WORDS = {
    Err.PROTOCOL: "protocol not understood",
    Err.FIND_TYPE: "set type not known",
    Err.MAX_SETS: "too many sets",
    Err.BUSY: "the set is in use",
    Err.TYPE_MISMATCH: "the sets are of different types",
    Err.EXIST: "the entry is there already, or is not",
    Err.HASH_FULL: "the set is full",
}


class IpsetSocket:
    """One netlink socket to ipset; `netns` names a network namespace other than our own.

    Not for several threads at once. Raises PrivilegeError, DivergedError, ForeignTableError,
    UnsupportedError, or EnforceError for the rest.
    """

    def __init__(self, netns: str | None = None, wait_s: float = 10.0) -> None:
        spec = AsyncNetlinkSocket(family=NETLINK_NETFILTER, ext_ack=True, netns=netns)
        self._socket: socket.socket = spec.setup_socket()
        self._socket.settimeout(wait_s)
        self._socket.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BYTES)
        except PermissionError:  # no CAP_NET_ADMIN in the first namespace: a capped one will do
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        self._wait_s = wait_s
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def do(self, commands: Iterable[Command]) -> None:
        """Do all in order, as one sendmsg where it fits; the first refusal is raised.

        There are no transactions: what came before a refusal is done, and so may be what came
        after it within the same sendmsg.
        """
        for command, code in self.try_each(commands):
            if code:
                raise error_for(code, command.cmd)

    def try_each(self, commands: Iterable[Command]) -> Iterator[tuple[Command, int]]:
        """Do each in order and yield it with its errno, 0 if it was done."""
        for part in _parts(commands):
            first = self._send(part, Nlm.ACK)
            told: dict[int, int] = {}
            while len(told) < len(part):
                for reply in self._receive():
                    known = first <= reply.sequence < first + len(part)
                    if known and reply.type == -NLMSG_ERROR:
                        told[reply.sequence] = kernel_error(reply).errno
            yield from ((c, told[s]) for s, c in enumerate(part, first))

    def ask(self, command: Command) -> Reply:
        """Return the one answer to a question."""
        first = self._send([command], Nlm.ACK)
        answer: Reply | None = None
        while True:
            for reply in self._receive():
                if reply.sequence != first:
                    continue
                if reply.type != -NLMSG_ERROR:
                    answer = reply
                    continue
                code = kernel_error(reply).errno
                if code or answer is None:
                    raise error_for(code or errno.EINVAL, command.cmd)
                return answer

    def dump(self, command: Command) -> Iterator[Reply]:
        """Yield the answers to a dump request, as they come."""
        first = self._send([command], Nlm.DUMP)
        while True:
            for reply in self._receive():
                if reply.sequence != first:
                    continue
                if reply.type in {-NLMSG_ERROR, -NLMSG_DONE}:
                    code = kernel_error(reply).errno
                    if code:
                        raise error_for(code, command.cmd)
                    return
                yield reply

    def _send(self, commands: Sequence[Command], flags: int) -> int:
        first = self._sequence + 1
        if first + len(commands) >= 1 << 31:
            first = 1
        self._sequence = first + len(commands) - 1
        try:
            self._socket.send(frame(commands, first, flags))
        except OSError as e:
            raise error_for(e.errno or 0, commands[0].cmd) from e
        return first

    def _receive(self) -> Iterator[Reply]:
        try:
            return unframe(self._socket.recv(DATAGRAM_BYTES))
        except TimeoutError as e:
            raise EnforceError(
                f"the kernel gave no answer over netlink within {self._wait_s:g} s; nothing more"
                " is known of the change: read the sets again"
            ) from e
        except OSError as e:
            raise error_for(e.errno or 0, None) from e


def _parts(commands: Iterable[Command]) -> Iterator[list[Command]]:
    part: list[Command] = []
    size = 0
    for command in commands:
        cost = len(command.payload) + 64
        if part and (size + cost > SEND_BYTES or len(part) == PIPELINED):
            yield part
            part, size = [], 0
        part.append(command)
        size += cost
    if part:
        yield part


def error_for(code: int, cmd: Cmd | None) -> EnforceError:
    """Return the error for an errno that a command was answered with."""
    doing = f" ({cmd.name})" if cmd else ""
    known = next((words for err, words in WORDS.items() if err == code), None)
    kind, advice = next(
        (told for codes, told in MEANING if code in codes), (EnforceError, "see the kernel's log")
    )
    return kind(f"ipset: {known or os.strerror(code)}{doing}; {advice}")
