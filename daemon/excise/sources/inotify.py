"""File change events by inotify(7), without a package: three calls of the C library.

One instance serves all files of a daemon, since a user has few of them
(`fs.inotify.max_user_instances`); each file has a `Watch` on it.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from contextlib import suppress
from pathlib import Path

# linux/inotify.h
_IN_MODIFY = 0x002
_IN_ATTRIB = 0x004
_IN_MOVED_TO = 0x080
_IN_CREATE = 0x100
_IN_MOVE_SELF = 0x800
_IN_Q_OVERFLOW = 0x4000
_FILE = _IN_MODIFY | _IN_ATTRIB | _IN_MOVE_SELF
_DIRECTORY = _IN_CREATE | _IN_MOVED_TO | _IN_ATTRIB
_BUFFER_BYTES = 65_536
#: struct inotify_event: wd, mask, cookie, length of the name that follows
_EVENT = struct.Struct("iIII")
#: after events no others are looked at for so long: a busy log is no reason to wake per line
REST_S = 0.003


class Inotify:
    """One inotify instance. Raises OSError where the kernel has none to give."""

    __slots__ = ("_fd", "_libc", "_listening", "_waiting", "_watches")

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._watches: dict[int, set[Watch]] = {}
        self._listening: asyncio.AbstractEventLoop | None = None
        self._waiting = 0

    def watch(self, directory: Path) -> Watch:
        """Return a watch on a directory. A missing one is no error."""
        return Watch(self, directory)

    def add(self, path: str, mask: int, watch: Watch) -> int:
        """Watch a path for somebody; return the kernel's number of it. Raises OSError."""
        number = self._libc.inotify_add_watch(self._fd, os.fsencode(path), mask)
        self._watches.setdefault(self._checked(number, path), set()).add(watch)
        return int(number)

    def remove(self, number: int, watch: Watch) -> None:
        """Stop watching for somebody; the kernel's watch ends with the last of them."""
        watchers = self._watches.get(number, set())
        watchers.discard(watch)
        if not watchers and self._watches.pop(number, None) is not None:
            # Fails if the file is gone: then the kernel's watch is, too.
            self._libc.inotify_rm_watch(self._fd, number)

    def begin(self) -> None:
        """Have the running loop look for events: somebody waits."""
        self._waiting += 1
        loop = asyncio.get_running_loop()
        if self._listening is not loop:
            self._listening = loop
            loop.add_reader(self._fd, self._stirred)

    def end(self) -> None:
        """Have it stop, once nobody waits."""
        self._waiting -= 1
        if not self._waiting:
            self._rest()

    def drain(self) -> None:
        """Tell each watch whether anything happened to it."""
        with suppress(BlockingIOError):
            while data := os.read(self._fd, _BUFFER_BYTES):
                self._tell(data)

    def close(self) -> None:
        """Close the instance and all its watches."""
        self._rest()
        os.close(self._fd)

    def _stirred(self) -> None:
        self.drain()
        loop, self._listening = self._listening, None
        if loop is not None:
            loop.remove_reader(self._fd)
            loop.call_later(REST_S, self._again, loop)

    def _again(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._waiting and self._listening is None:
            self._listening = loop
            loop.add_reader(self._fd, self._stirred)

    def _rest(self) -> None:
        if self._listening is not None and not self._listening.is_closed():
            self._listening.remove_reader(self._fd)
        self._listening = None

    def _tell(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            number, mask, _, length = _EVENT.unpack_from(data, at)
            at += _EVENT.size + length
            if mask & _IN_Q_OVERFLOW:  # something was missed: everybody looks
                for watchers in self._watches.values():
                    _wake(watchers)
            _wake(self._watches.get(number, set()))

    @staticmethod
    def _checked(result: int, path: str = "inotify") -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
        return result


class Watch:
    """Watches a directory and one open file in it."""

    __slots__ = ("_directory", "_directory_watch", "_file_watch", "_happened", "_inotify")

    def __init__(self, inotify: Inotify, directory: Path) -> None:
        self._inotify, self._directory = inotify, directory
        self._directory_watch = self._file_watch = -1
        self._happened = asyncio.Event()
        self.watch_directory()

    def watch_directory(self) -> None:
        """Watch the directory again: it may have been made, or made anew, since."""
        with suppress(OSError):
            number = self._inotify.add(str(self._directory), _DIRECTORY, self)
            if number != self._directory_watch:
                self._inotify.remove(self._directory_watch, self)
                self._directory_watch = number

    def follow(self, fd: int) -> None:
        """Watch an open file instead of the one before. Raises OSError."""
        self.unfollow()
        self._file_watch = self._inotify.add(f"/proc/self/fd/{fd}", _FILE, self)

    def unfollow(self) -> None:
        """Watch no file."""
        self._inotify.remove(self._file_watch, self)
        self._file_watch = -1

    def told(self) -> bool:
        """Whether anything happened since the last wait, without waiting."""
        self._inotify.drain()
        return self._happened.is_set()

    async def wait(self, timeout_s: float) -> bool:
        """Return whether anything happened since the last call, waiting up to `timeout_s`."""
        self._inotify.begin()
        try:
            async with asyncio.timeout(timeout_s):
                await self._happened.wait()
        except TimeoutError:
            return False
        finally:
            self._inotify.end()
        self._happened.clear()
        return True

    def wake(self) -> None:
        """Note that something happened."""
        self._happened.set()

    def close(self) -> None:
        """Watch nothing any more."""
        self.unfollow()
        self._inotify.remove(self._directory_watch, self)
        self._directory_watch = -1


def _wake(watches: set[Watch]) -> None:
    for watch in watches:
        watch.wake()
