"""Lines that come as datagrams, on a unix socket or over UDP; with syslog headers or without."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from ipaddress import ip_network

from excise.config import SocketConfig, Wire
from excise.decode.base import MAX_LINE_BYTES
from excise.decode.syslog_header import payload_of
from excise.sources.base import CHUNK_BYTES, Chunk, Count, Place, State, Toll, waiting_bytes
from excise.sources.sequence import Sequence
from excise.sources.sockets import allows, close_unix, dropped, open_socket, queue_length

#: peers whose verdict is remembered
_MOST_PEERS = 4096
#: a unix socket with room for fewer lines loses some whenever the daemon is busy
LITTLE_ROOM = 100


class Datagram:
    """Reads datagrams. What arrives while nobody reads waits in the kernel, or is lost there.

    Lost are, by kind: `receive-queue`, what the kernel says it dropped; `queue-full`, how often
    the queue was found full, where senders of unix datagrams lose lines and nobody can count
    them; `sequence`, gaps in the numbers that the lines carry.
    """

    def __init__(
        self, config: SocketConfig, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Open the socket. Raises SourceError."""
        self.name = config.name
        self.state = State.WAITING
        self.problem = self.note = ""
        self.toll = Toll.zero()
        self._config, self._clock = config, clock
        self._socket = open_socket(config)
        self._made = _identity(config)
        self._allowed = tuple(map(ip_network, config.allow))
        self._peers: dict[str, bool] = {}
        self._room = queue_length() if config.wire is Wire.UNIX else 0
        if 0 < self._room < LITTLE_ROOM:
            self.note = f"room for {self._room} lines only; raise net.unix.max_dgram_qlen"
        self._dropped = 0
        self._lines = 0
        self._buffer = bytearray(MAX_LINE_BYTES + 1)
        self._sequence = Sequence()

    @property
    def cursor(self) -> Place | None:
        """None: what came cannot be read again."""
        return None

    def seek(self, cursor: Place) -> None:
        """Do nothing: what came cannot be read again."""

    def poll(self) -> Chunk | None:
        """Return the lines that came; see `Source`."""
        lines: list[bytes] = []
        count = size = 0
        while size < CHUNK_BYTES:
            try:
                length, address = self._socket.recvfrom_into(self._buffer)
            except BlockingIOError:
                break
            count += 1
            size += length
            if self._from_allowed(address):
                lines += self._lines_of(bytes(memoryview(self._buffer)[:length]))
            else:
                self.toll.refused["peer"] += 1
        self._account(count, lines)
        self.state = State.READING if lines else State.WAITING
        if not lines:
            return None
        self._lines += len(lines)
        return Chunk(lines, Count(self._lines), waiting_bytes(self._socket.fileno()))

    async def changed(self) -> None:
        """Return when there may be more; see `Source`."""
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._socket.fileno(), readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(self._socket.fileno())

    def close(self) -> None:
        """Close the socket and remove its file."""
        self._socket.close()
        if self._made is not None:
            close_unix(self._config.path, self._made)
            self._made = None

    def _from_allowed(self, address: object) -> bool:
        if self._config.wire is Wire.UNIX or not isinstance(address, tuple):
            return True
        host = str(address[0])
        known = self._peers.get(host)
        if known is None:
            if len(self._peers) >= _MOST_PEERS:
                self._peers.clear()
            known = self._peers[host] = allows(self._allowed, host)
        return known

    def _lines_of(self, message: bytes) -> list[bytes]:
        """Return a datagram's lines; a syslog message is one, whatever it holds."""
        whole = message.rstrip(b"\r\n\0")
        if self._config.syslog:
            return [payload_of(whole)]
        return whole.split(b"\n")

    def _account(self, count: int, lines: list[bytes]) -> None:
        if self._room and count >= self._room:
            self.toll.lost["queue-full"] += 1
        lost = dropped(self._socket)
        if lost != self._dropped:
            self.toll.lost["receive-queue"] += (lost - self._dropped) & 0xFFFFFFFF
            self._dropped = lost
        missing = self._sequence.take(lines, self._clock())
        if missing:
            self.toll.lost["sequence"] += missing


def _identity(config: SocketConfig) -> tuple[int, int] | None:
    """Return which file was made for a socket, None for one without a file."""
    if config.wire is not Wire.UNIX:
        return None
    found = config.path.lstat()
    return (found.st_dev, found.st_ino)
