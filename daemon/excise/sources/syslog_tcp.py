"""Syslog over TCP: a listener and its connections, all read from one place, in turn.

What is not read waits in the kernel, and then with the sender: nothing is lost here for want of
time. A connection that breaks loses what was on its way.
"""

from __future__ import annotations

import asyncio
import select
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_network

from excise.config import SocketConfig
from excise.decode.syslog_header import payload_of
from excise.sources.base import Chunk, Count, Place, State, Toll, waiting_bytes
from excise.sources.framing import Framing
from excise.sources.sockets import allows, open_socket

MOST_CONNECTIONS = 64
#: what one look takes: so often so much of each connection
_ROUNDS, _READ_BYTES = 4, 65_536
#: a peer that is gone without a word is noticed after some minutes
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 120), (socket.TCP_KEEPINTVL, 30), (socket.TCP_KEEPCNT, 4))


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    framing: Framing = field(default_factory=Framing)


class SyslogTcp:
    """Reads syslog messages from at most 64 connections, a fair share of each at a time."""

    def __init__(self, config: SocketConfig) -> None:
        """Listen. Raises SourceError."""
        self.name = config.name
        self.state = State.WAITING
        self.problem = self.note = ""
        self.toll = Toll.zero()
        self._listener = open_socket(config)
        self._allowed = tuple(map(ip_network, config.allow))
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._connections: dict[int, _Connection] = {}
        self._lines = 0

    @property
    def port(self) -> int:
        """The port really listened on."""
        return int(self._listener.getsockname()[1])

    @property
    def cursor(self) -> Place | None:
        """None: what came cannot be read again."""
        return None

    def seek(self, cursor: Place) -> None:
        """Do nothing: what came cannot be read again."""

    def poll(self) -> Chunk | None:
        """Return the lines that came; see `Source`."""
        messages: list[bytes] = []
        for _ in range(_ROUNDS):
            read = 0
            for fd, _ in self._epoll.poll(0):
                if fd == self._listener.fileno():
                    self._accept()
                else:
                    read += self._read(fd, messages)
            if not read:
                break
        lines = [payload_of(message) for message in messages]
        self.note = f"{len(self._connections)} connected" if self._connections else ""
        self.state = State.READING if lines else State.WAITING
        if not lines:
            return None
        self._lines += len(lines)
        return Chunk(lines, Count(self._lines), sum(map(waiting_bytes, self._connections)))

    async def changed(self) -> None:
        """Return when there may be more; see `Source`."""
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._epoll.fileno(), readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(self._epoll.fileno())

    def close(self) -> None:
        """Close all connections, and listen no more."""
        for fd in [*self._connections]:
            self._connections.pop(fd).socket.close()
        self._listener.close()
        self._epoll.close()

    def _accept(self) -> None:
        try:
            taken, address = self._listener.accept()
        except OSError:  # it has gone again, or no descriptors are left
            return
        if not allows(self._allowed, str(address[0])):
            self.toll.refused["peer"] += 1
            taken.close()
            return
        if len(self._connections) >= MOST_CONNECTIONS:
            self.toll.refused["connections"] += 1
            taken.close()
            return
        taken.setblocking(False)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            taken.setsockopt(socket.IPPROTO_TCP, option, value)
        self._connections[taken.fileno()] = _Connection(taken)
        self._epoll.register(taken, select.EPOLLIN)

    def _read(self, fd: int, messages: list[bytes]) -> int:
        connection = self._connections[fd]
        try:
            data = connection.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return 0
        except OSError:  # reset by the peer
            data = b""
        framing = connection.framing
        messages += framing.take(data)
        if framing.too_long:
            self.toll.refused["too-long"] += framing.too_long
            framing.too_long = 0
        if not data:
            last, cut = framing.end()
            messages += last
            self.toll.lost["cut"] += cut
            with suppress(OSError):
                self._epoll.unregister(fd)
            self._connections.pop(fd).socket.close()
        return len(data)
