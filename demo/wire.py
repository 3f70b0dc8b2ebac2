"""HTTP/1.1 over TLS from a chosen source address: just enough to be an API client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass

CONNECT_S = 10.0
IDLE_S = 20.0  # a throttled stream may stall for many seconds and go on
GONE = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError)


@dataclass(frozen=True)
class Head:
    """The start of a response: status, and the length of its body (None: chunked)."""

    status: int
    length: int | None


def parse_head(head: bytes) -> Head:
    """Read a response head (RFC 9112). Raises ValueError for anything else."""
    lines = head.decode("latin-1").lower().split("\r\n")
    status = int(lines[0].split()[1])
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name == "content-length":
            return Head(status, int(value))
    return Head(status, None)


def request_bytes(host: str, account: str, user_agent: str, body: dict[str, object]) -> bytes:
    data = json.dumps(body).encode()
    return (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {account}\r\n"
        f"User-Agent: {user_agent}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\n\r\n"
    ).encode() + data


class Connection:
    """One keep-alive connection, opened when first needed and again after a failure."""

    def __init__(self, host: str, port: int, source: str, context: ssl.SSLContext) -> None:
        self.host, self.port, self.source, self.context = host, port, source, context
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes, count: Callable[[int], None]) -> int:
        """Send a request, read its answer to the end, return the status.

        `count` is told of body bytes as they arrive. Raises what is in `GONE`.
        """
        try:
            reader, writer = await self._opened()
            writer.write(request)
            async with asyncio.timeout(IDLE_S):
                head = parse_head(await reader.readuntil(b"\r\n\r\n"))
            await self._body(reader, head.length, count)
        except BaseException:
            self.close()
            raise
        return head.status

    async def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.streams is None:
            async with asyncio.timeout(CONNECT_S):
                self.streams = await asyncio.open_connection(
                    self.host, self.port, ssl=self.context, local_addr=(self.source, 0)
                )
        return self.streams

    async def _body(
        self, reader: asyncio.StreamReader, length: int | None, count: Callable[[int], None]
    ) -> None:
        if length is not None:
            await self._exactly(reader, length, count)
            return
        while True:
            async with asyncio.timeout(IDLE_S):
                size = int(await reader.readuntil(b"\r\n"), 16)
            await self._exactly(reader, size, count)
            async with asyncio.timeout(IDLE_S):
                await reader.readexactly(2)
            if size == 0:
                return

    async def _exactly(
        self, reader: asyncio.StreamReader, length: int, count: Callable[[int], None]
    ) -> None:
        while length:
            async with asyncio.timeout(IDLE_S):
                data = await reader.read(length)
            if not data:
                raise asyncio.IncompleteReadError(b"", length)
            length -= len(data)
            count(len(data))

    def close(self) -> None:
        if self.streams is not None:
            with contextlib.suppress(RuntimeError):
                self.streams[1].transport.abort()
            self.streams = None
