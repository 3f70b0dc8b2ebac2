"""Where lines go: a file or a unix datagram socket. A line that does not fit is gone, at once."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from excise.errors import SourceError

#: a missing socket or file is tried again this often
AGAIN_S = 1.0
FILE_MODE = 0o640


class LostError(SourceError):
    """A line could not be delivered; the text is why, for counting."""


class Outlet(Protocol):
    """Takes lines one by one."""

    def write(self, line: bytes) -> None:
        """Deliver a line with its newline. Raises LostError; never waits for a reader."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class FileOutlet:
    """Appends to a file, whole lines only, and follows it through rotation.

    Several processes may append to one file.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self._handle = -1
        self._looked = -AGAIN_S
        self._torn = False
        self._open()  # there before the first request: who reads it is not blind until then

    def write(self, line: bytes) -> None:
        """See `Outlet`."""
        self._open()
        if self._handle < 0:
            raise LostError(f"{self._path} cannot be opened")
        data = b"\n" + line if self._torn else line
        try:
            written = os.write(self._handle, data)
        except OSError as error:
            raise LostError(f"{self._path}: {error.strerror}") from error
        self._torn = written < len(data)
        if self._torn:
            raise LostError(f"{self._path} took a part of a line only: is the disk full?")

    def _open(self) -> None:
        """Open the file, anew if another one has its name: a look a second."""
        now = self._clock()
        if now - self._looked < AGAIN_S:
            return
        self._looked = now
        with contextlib.suppress(OSError):
            if self._handle >= 0 and os.path.samestat(os.stat(self._path), os.fstat(self._handle)):
                return
        self.close()
        # Without O_NONBLOCK a named pipe would wait for its reader.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        with contextlib.suppress(OSError):
            self._handle = os.open(self._path, flags, FILE_MODE)

    def close(self) -> None:
        """See `Outlet`."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


class SocketOutlet:
    """Sends a datagram per line, without its newline, to a unix socket."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self._socket: socket.socket | None = None
        self._again = clock()

    def write(self, line: bytes) -> None:
        """See `Outlet`."""
        if self._socket is None:
            self._connect()
        assert self._socket is not None  # noqa: S101 - _connect raises otherwise
        try:
            self._socket.send(line.rstrip(b"\n"))
        except BlockingIOError as error:
            raise LostError(f"{self._path} is full: its reader is too slow") from error
        except OSError as error:
            if isinstance(error, ConnectionError):
                self.close()  # the reader went away; it may come back under the same name
            raise LostError(f"{self._path}: {error.strerror}") from error

    def _connect(self) -> None:
        now = self._clock()
        if now < self._again:
            raise LostError(f"{self._path} has no reader")
        self._again = now + AGAIN_S
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            made.connect(str(self._path))
        except OSError as error:
            made.close()
            raise LostError(f"{self._path} has no reader") from error
        self._socket = made

    def close(self) -> None:
        """See `Outlet`."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
