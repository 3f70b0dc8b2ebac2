"""Follow a log file through rotation, truncation, absence and restarts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from excise.decode.base import MAX_LINE_BYTES
from excise.errors import SourceError
from excise.sources.base import CHUNK_BYTES, HEAD_BYTES, Chunk, Cursor, Place, State, Toll
from excise.sources.inotify import Inotify
from excise.sources.log_file import (
    LogFile,
    OpenLog,
    identity_of,
    locate,
    oldest_since,
    open_log,
    rotated,
    successor,
)

#: a rotated file is left once it was quiet for so long: writers reopen one after the other
LINGER_S = 0.05
#: how often a file is looked at where inotify does not work, and even where it does
POLL_S = 0.03
GLANCE_S = 1.0
#: wake-ups that follow each other closer than this are held back, to read more lines at once
BUSY_S = 0.01
HOLD_BACK_S = 0.003
#: so often inotify may miss a change before its word is no longer waited for
DEAF_AFTER = 2
#: a log that is gone for so long has ended, where it is one of many that come and go
GONE_S = 60.0


class FileTail:
    """Tails one path.

    Renamed away, the old file is read on until it has been quiet; emptied in place
    (`copytruncate`), what was not yet read is looked for in the copy. Without a cursor it starts
    at the end, so that a fresh install does not act on history, unless `from_start`; a file that
    is made only later is always read from its start.

    `inotify` is shared by many; without it the file is looked at every 30 ms. `passing` ends the
    source once the log was removed and nothing followed.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str = "",
        from_start: bool = False,
        passing: bool = False,
        clock: Callable[[], float] = time.monotonic,
        max_bytes: int = CHUNK_BYTES,
        linger_s: float = LINGER_S,
        inotify: Inotify | None = None,
    ) -> None:
        if max_bytes <= MAX_LINE_BYTES:
            raise ValueError(f"max_bytes must be more than the {MAX_LINE_BYTES} of a line")
        self.name = name or str(path)
        self.state = State.WAITING
        self.problem = self.note = ""
        self.toll = Toll.zero()
        self._path, self._clock = path, clock
        self._max_bytes, self._linger_s = max_bytes, linger_s
        self._wanted: Cursor | None = None
        self._at_end, self._passing = not from_start, passing
        self._file: OpenLog | None = None
        self._offset = self._size = 0
        self._head = ""
        self._skipping = False
        self._quiet: tuple[int, float] | None = None
        self._gone: float | None = None
        self._lost = 0
        self._watch = inotify.watch(path.parent) if inotify else None
        self._missed = 0
        self._woke_s = 0.0

    @property
    def cursor(self) -> Place | None:
        """The place reached; see `Source`."""
        return self._cursor(self._file) if self._file else self._wanted

    def seek(self, cursor: Place) -> None:
        """Resume at a cursor; see `Source`. Raises SourceError for a place in no file.

        Where its place is gone that counts as lost; what was written since it was kept is read,
        as far as it is still there.
        """
        if not isinstance(cursor, Cursor):
            raise SourceError(f"the stored cursor {cursor} is no place in a file")
        self._wanted = cursor

    def poll(self) -> Chunk | None:
        """Return the next whole lines, None if there are none now; see `Source`."""
        file = self._file or self._open_first()
        while file:
            file = self._after_truncation(file)
            chunk = self._read(file)
            if chunk is None and (following := self._following(file)):
                chunk = self._last_line(file)
                self._take(following, 0)
                file = following
                if chunk is None:
                    continue
            idle = State.BLIND if self.problem else State.WAITING
            # A rotated file that is about to be left is no end: the next one follows.
            self.state = State.READING if chunk or self._quiet else idle
            break
        else:
            chunk = None
        if chunk is None and self._passed():
            self.state = State.ENDED
        return chunk

    async def changed(self) -> None:
        """Return when there may be more; see `Source`."""
        loop = asyncio.get_running_loop()
        await self._stirred()
        if loop.time() - self._woke_s < BUSY_S:
            await asyncio.sleep(HOLD_BACK_S)
        self._woke_s = loop.time()

    def close(self) -> None:
        """Close the file and stop watching."""
        if self._file:
            self._file.close()
            self._file = None
        if self._watch:
            self._watch.close()
            self._watch = None

    # Opening -----------------------------------------------------------------------------------

    def _open_first(self) -> OpenLog | None:
        """Open what the cursor names, or the path; remember why if neither can be done."""
        cursor = self._wanted
        try:
            found = locate(self._path, cursor) if cursor else None
            file = found or self._open_anew(cursor)
        except (OSError, SourceError) as error:
            if isinstance(error, FileNotFoundError):
                self._at_end = False
            self.state, self.problem = State.BLIND, _why(error)
            if self._watch:
                self._watch.watch_directory()
            return None
        self.problem = ""
        self._wanted = None
        if found and cursor:
            self._take(file, cursor.offset)
        elif cursor:
            self._lost += 1
            self._take(file, 0)
        else:
            at_end = self._at_end and file.grows  # an archive is no log that goes on
            self._take(file, self._start_of_last_line(file) if at_end else 0)
        return file

    def _open_anew(self, cursor: Cursor | None) -> OpenLog:
        """Open the path, or the oldest of its rotated files that is newer than a lost place."""
        since_ns = cursor.written_ns if cursor else 0
        return open_log(oldest_since(self._path, rotated(self._path), since_ns))

    def _start_of_last_line(self, file: OpenLog) -> int:
        """Return where an unfinished last line begins, or the end if it is finished."""
        size = file.size()
        base = max(0, size - MAX_LINE_BYTES)
        return base + file.read(size - base, base).rfind(b"\n") + 1

    def _take(self, file: OpenLog, offset: int) -> None:
        if self._file and self._file is not file:
            self._lost += self._file.torn
            self._file.close()
        self._file, self._offset, self._size = file, offset, file.size()
        self._head = file.head(offset)
        self._skipping, self._quiet = False, None
        if self._watch:
            self._watch.watch_directory()
            try:
                if isinstance(file, LogFile):
                    self._watch.follow(file.fd)
            except OSError as error:  # out of watches, or no /proc: looking often remains
                self._watch.close()
                self._watch = None
                self.note = f"no inotify watch ({error.strerror}); the file is looked at often"

    # Reading -----------------------------------------------------------------------------------

    def _read(self, file: OpenLog) -> Chunk | None:
        if not file.ready(self._offset):  # on the way to a place in a compressed file
            return self._chunk(file, [], 0)
        data = file.read(self._max_bytes, self._offset)
        end = data.rfind(b"\n")
        if end >= 0:
            lines = data[:end].split(b"\n")
            if self._skipping:
                del lines[0]
                self._skipping = False
            return self._chunk(file, lines, end + 1)
        if not data or (len(data) <= MAX_LINE_BYTES and not self._skipping):
            return None
        lines = [] if self._skipping else [data[: MAX_LINE_BYTES + 1]]
        self._skipping = True
        return self._chunk(file, lines, len(data))

    def _last_line(self, file: OpenLog) -> Chunk | None:
        """Return the unfinished line at the end of a file that nobody writes any more."""
        rest = file.read(MAX_LINE_BYTES, self._offset)
        return self._chunk(file, [rest], len(rest)) if rest else None

    def _chunk(self, file: OpenLog, lines: list[bytes], count: int) -> Chunk:
        self._offset += count
        self._size = max(self._size, self._offset)
        self._quiet = None
        if self._offset - count < HEAD_BYTES:
            self._head = file.head(self._offset)
        lost, self._lost = self._lost, 0
        if lost:
            self.toll.lost["break"] += lost
        return Chunk(lines, self._cursor(file), self._lag_bytes(file), lost)

    def _cursor(self, file: OpenLog) -> Cursor:
        return Cursor(*file.identity, self._offset, self._head, file.written_ns)

    def _lag_bytes(self, file: OpenLog) -> int:
        newer = 0
        with suppress(OSError):
            present = self._path.stat()
            if (present.st_dev, present.st_ino) != file.identity:
                newer = present.st_size
        return self._size - self._offset + newer

    # Changing files ----------------------------------------------------------------------------

    def _after_truncation(self, file: OpenLog) -> OpenLog:
        """Return the file to read: if `file` was emptied, its copy while that has more."""
        size = file.size()
        if not file.grows or (size >= self._offset and file.head(self._offset) == self._head):
            self._size = max(size, self._offset)
            return file
        copy = locate(self._path, self._cursor(file), copies_only=True)
        left = copy.size() if copy else self._offset
        if left < self._size:
            self._lost += 1
        if copy and left > self._offset:
            self._take(copy, self._offset)
            return copy
        if copy:
            copy.close()
        self._take(file, 0)
        return file

    def _following(self, file: OpenLog) -> OpenLog | None:
        """Open the file that continues a rotated one, once that has been quiet long enough."""
        present = identity_of(self._path)
        if present == file.identity or (present is None and file.grows):
            self._quiet = None
            return None
        if file.grows and not self._has_been_quiet():
            return None
        self._quiet = None
        try:
            following = open_log(successor(self._path, file.identity, file.written_ns))
        except (OSError, SourceError) as error:
            self.problem = "" if isinstance(error, FileNotFoundError) else _why(error)
            return None
        self.problem = ""
        return following

    def _has_been_quiet(self) -> bool:
        if self._quiet is None or self._quiet[0] != self._size:
            self._quiet = (self._size, self._clock())
        return self._clock() - self._quiet[1] >= self._linger_s

    def _passed(self) -> bool:
        """Whether a log that may come and go is gone for good."""
        if not self._passing or identity_of(self._path) is not None:
            self._gone = None
            return False
        if self._gone is None:
            self._gone = self._clock()
        return self._clock() - self._gone >= GONE_S

    # Waiting -----------------------------------------------------------------------------------

    async def _stirred(self) -> None:
        if self._quiet:
            left_s = self._quiet[1] + self._linger_s - self._clock()
            await self._pause(max(left_s, 0.001))
            return
        while not await self._pause(POLL_S if self._looks_often() else GLANCE_S):
            if self._file is None or self._differs(self._file):
                self._heard_nothing()
                return

    async def _pause(self, at_most_s: float) -> bool:
        """Return whether inotify told of something; without it, always False after the time."""
        if self._watch is None:
            await asyncio.sleep(at_most_s)
            return False
        told = await self._watch.wait(at_most_s)
        if told and self._missed:
            self._missed, self.note = 0, ""
        return told

    def _looks_often(self) -> bool:
        return self._file is not None and (self._watch is None or self._missed >= DEAF_AFTER)

    def _heard_nothing(self) -> None:
        """Note a change that inotify kept to itself, as on network file systems."""
        if self._file is None or self._watch is None or self._watch.told():
            return
        self._missed += 1
        if self._missed == DEAF_AFTER:
            self.note = f"inotify does not tell of changes here; looked at every {POLL_S:g} s"

    def _differs(self, file: OpenLog) -> bool:
        return file.size() != self._size or identity_of(self._path) not in {None, file.identity}


def _why(error: OSError | SourceError) -> str:
    """Return why a file cannot be read, and what to do; its name stands beside it already."""
    match error:
        case FileNotFoundError():
            return "No such file or directory; it is read as soon as it appears"
        case PermissionError():
            return "Permission denied; give the user that runs excise the right to read it"
        case OSError():
            return error.strerror or str(error)
    return str(error)
