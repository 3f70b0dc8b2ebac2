"""File change events by inotify(7), without a package: three calls of the C library."""

from __future__ import annotations

import asyncio
import ctypes
import os
from contextlib import suppress
from pathlib import Path

# linux/inotify.h
_IN_MODIFY = 0x002
_IN_ATTRIB = 0x004
_IN_MOVED_TO = 0x080
_IN_CREATE = 0x100
_IN_MOVE_SELF = 0x800
_FILE = _IN_MODIFY | _IN_ATTRIB | _IN_MOVE_SELF
_DIRECTORY = _IN_CREATE | _IN_MOVED_TO | _IN_ATTRIB
_BUFFER_BYTES = 65_536


class Inotify:
    """One inotify instance that watches a directory and one open file in it."""

    __slots__ = ("_directory", "_fd", "_file_watch", "_libc")

    def __init__(self, directory: Path) -> None:
        """Raise OSError where the kernel has none to give. A missing directory is no error."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._directory = directory
        self._file_watch = -1
        self.watch_directory()

    def watch_directory(self) -> None:
        """Watch the directory again: it may have been made, or made anew, since."""
        with suppress(OSError):
            self._add(str(self._directory), _DIRECTORY)

    def follow(self, fd: int) -> None:
        """Watch an open file instead of the one before. Raises OSError."""
        if self._file_watch >= 0:  # fails if the file is gone: then the watch is, too
            self._libc.inotify_rm_watch(self._fd, self._file_watch)
            self._file_watch = -1
        self._file_watch = self._add(f"/proc/self/fd/{fd}", _FILE)

    async def wait(self, timeout_s: float) -> bool:
        """Return whether anything happened since the last call, waiting up to `timeout_s`."""
        loop = asyncio.get_running_loop()
        happened = asyncio.Event()
        loop.add_reader(self._fd, happened.set)
        try:
            async with asyncio.timeout(timeout_s):
                await happened.wait()
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(self._fd)
        self._drain()
        return True

    def close(self) -> None:
        """Close the instance and all its watches."""
        os.close(self._fd)

    def _add(self, path: str, mask: int) -> int:
        return self._checked(self._libc.inotify_add_watch(self._fd, os.fsencode(path), mask), path)

    def _drain(self) -> None:
        with suppress(BlockingIOError):
            while os.read(self._fd, _BUFFER_BYTES):
                pass

    @staticmethod
    def _checked(result: int, path: str = "inotify") -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
        return result
