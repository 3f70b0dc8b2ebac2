"""Standard input, or any pipe, as a source of lines."""

from __future__ import annotations

import asyncio
import os
import select
from contextlib import suppress

from excise.decode.base import MAX_LINE_BYTES
from excise.sources.base import CHUNK_BYTES, Chunk, Cursor, Place, State, Toll


class Stdin:
    """Reads a file descriptor until it ends. What was read cannot be read again."""

    def __init__(self, fd: int = 0, *, name: str = "stdin", max_bytes: int = CHUNK_BYTES) -> None:
        self.name = name
        self.state = State.WAITING
        self.problem = self.note = ""
        self.toll = Toll.zero()
        self._fd = fd
        self._max_bytes = max_bytes
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        self._rest = b""
        self._skipping = False
        self._offset = 0

    @property
    def cursor(self) -> Place | None:
        """How far it was read; see `Source`."""
        return Cursor(0, 0, self._offset - len(self._rest))

    def seek(self, cursor: Place) -> None:
        """Do nothing: a pipe has no places. `offset` of its cursors only counts bytes."""

    def poll(self) -> Chunk | None:
        """Return the next whole lines, None if there are none now; see `Source`."""
        if self.state is State.ENDED:
            return None
        if not self._poll.poll(0):
            self.state = State.WAITING
            return None
        data = os.read(self._fd, self._max_bytes)
        if not data:
            return self._end()
        self.state = State.READING
        return self._chunk(self._split(data))

    async def changed(self) -> None:
        """Return when there may be more; after the end, never."""
        if self.state is State.ENDED:
            await asyncio.Event().wait()
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        with suppress(PermissionError):  # epoll(7) takes no regular files: always readable
            loop.add_reader(self._fd, readable.set)
            try:
                await readable.wait()
            finally:
                loop.remove_reader(self._fd)

    def close(self) -> None:
        """Stop reading. The descriptor belongs to whoever opened it."""
        self.state = State.ENDED

    def _split(self, data: bytes) -> list[bytes]:
        self._offset += len(data)
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if lines and self._skipping:
            del lines[0]
            self._skipping = False
        if self._skipping:
            self._rest = b""
        elif len(self._rest) > MAX_LINE_BYTES:
            lines.append(self._rest[: MAX_LINE_BYTES + 1])
            self._rest, self._skipping = b"", True
        return lines

    def _end(self) -> Chunk | None:
        self.state = State.ENDED
        rest, self._rest = self._rest, b""
        return self._chunk([rest]) if rest else None

    def _chunk(self, lines: list[bytes]) -> Chunk:
        return Chunk(lines, Cursor(0, 0, self._offset - len(self._rest)), lag_bytes=0)
