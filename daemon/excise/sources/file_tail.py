"""Follow a log file through rotation, truncation, absence and restarts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from excise.decode.base import MAX_LINE_BYTES
from excise.errors import SourceError
from excise.sources.base import CHUNK_BYTES, HEAD_BYTES, Chunk, Cursor, State
from excise.sources.inotify import Inotify
from excise.sources.log_file import LogFile, identity_of, locate, successor

#: a rotated file is left once it was quiet for so long: writers reopen one after the other
LINGER_S = 0.05
#: how often a file is looked at where inotify does not work, and even where it does
POLL_S = 0.03
GLANCE_S = 1.0
#: wake-ups that follow each other closer than this are held back, to read more lines at once
BUSY_S = 0.01
HOLD_BACK_S = 0.003


class FileTail:
    """Tails one path.

    Renamed away, the old file is read on until it has been quiet; emptied in place
    (`copytruncate`), what was not yet read is looked for in the copy. Without a cursor it starts
    at the end, so that a fresh install does not act on history, unless `from_start`; a file that
    is made only later is always read from its start.
    """

    def __init__(
        self,
        path: Path,
        *,
        from_start: bool = False,
        clock: Callable[[], float] = time.monotonic,
        max_bytes: int = CHUNK_BYTES,
        linger_s: float = LINGER_S,
        use_inotify: bool = True,
    ) -> None:
        if max_bytes <= MAX_LINE_BYTES:
            raise ValueError(f"max_bytes must be more than the {MAX_LINE_BYTES} of a line")
        self.name = str(path)
        self.state = State.WAITING
        self.problem = ""
        self._path, self._clock = path, clock
        self._max_bytes, self._linger_s = max_bytes, linger_s
        self._wanted: Cursor | None = None
        self._at_end = not from_start
        self._file: LogFile | None = None
        self._offset = self._size = 0
        self._head = ""
        self._skipping = False
        self._quiet: tuple[int, float] | None = None
        self._lost = 0
        self._inotify = _inotify(path.parent) if use_inotify else None
        self._woke_s = 0.0

    @property
    def cursor(self) -> Cursor | None:
        """The place reached; see `Source`."""
        return self._cursor(self._file) if self._file else self._wanted

    def seek(self, cursor: Cursor) -> None:
        """Resume at a cursor; see `Source`.

        Where its place is gone that counts as lost, and the present file is read from its start.
        """
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
            self.state = State.READING if chunk else idle
            return chunk
        return None

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
        if self._inotify:
            self._inotify.close()
            self._inotify = None

    # Opening -----------------------------------------------------------------------------------

    def _open_first(self) -> LogFile | None:
        """Open what the cursor names, or the path; remember why if neither can be done."""
        cursor = self._wanted
        try:
            found = locate(self._path, cursor) if cursor else None
            file = found or LogFile(self._path)
        except (OSError, SourceError) as error:
            if isinstance(error, FileNotFoundError):
                self._at_end = False
            self.state, self.problem = State.BLIND, _why(error)
            if self._inotify:
                self._inotify.watch_directory()
            return None
        self.problem = ""
        self._wanted = None
        if found and cursor:
            self._take(file, cursor.offset)
        elif cursor:
            self._lost += 1
            self._take(file, 0)
        else:
            self._take(file, self._start_of_last_line(file) if self._at_end else 0)
        return file

    def _start_of_last_line(self, file: LogFile) -> int:
        """Return where an unfinished last line begins, or the end if it is finished."""
        size = file.size()
        base = max(0, size - MAX_LINE_BYTES)
        return base + file.read(size - base, base).rfind(b"\n") + 1

    def _take(self, file: LogFile, offset: int) -> None:
        if self._file and self._file is not file:
            self._file.close()
        self._file, self._offset, self._size = file, offset, file.size()
        self._head = file.head(offset)
        self._skipping, self._quiet = False, None
        if self._inotify:
            self._inotify.watch_directory()
            try:
                self._inotify.follow(file.fd)
            except OSError:  # out of watches, or no /proc: looking from time to time remains
                self._inotify.close()
                self._inotify = None

    # Reading -----------------------------------------------------------------------------------

    def _read(self, file: LogFile) -> Chunk | None:
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

    def _last_line(self, file: LogFile) -> Chunk | None:
        """Return the unfinished line at the end of a file that nobody writes any more."""
        rest = file.read(MAX_LINE_BYTES, self._offset)
        return self._chunk(file, [rest], len(rest)) if rest else None

    def _chunk(self, file: LogFile, lines: list[bytes], count: int) -> Chunk:
        self._offset += count
        self._size = max(self._size, self._offset)
        self._quiet = None
        if self._offset - count < HEAD_BYTES:
            self._head = file.head(self._offset)
        lost, self._lost = self._lost, 0
        return Chunk(lines, self._cursor(file), self._lag_bytes(file), lost)

    def _cursor(self, file: LogFile) -> Cursor:
        return Cursor(*file.identity, self._offset, self._head)

    def _lag_bytes(self, file: LogFile) -> int:
        newer = 0
        with suppress(OSError):
            present = self._path.stat()
            if (present.st_dev, present.st_ino) != file.identity:
                newer = present.st_size
        return self._size - self._offset + newer

    # Changing files ----------------------------------------------------------------------------

    def _after_truncation(self, file: LogFile) -> LogFile:
        """Return the file to read: if `file` was emptied, its copy while that has more."""
        size = file.size()
        if size >= self._offset and file.head(self._offset) == self._head:
            self._size = size
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

    def _following(self, file: LogFile) -> LogFile | None:
        """Open the file that continues a rotated one, once that has been quiet long enough."""
        if identity_of(self._path) in {None, file.identity}:
            self._quiet = None
            return None
        if self._quiet is None or self._quiet[0] != self._size:
            self._quiet = (self._size, self._clock())
        if self._clock() - self._quiet[1] < self._linger_s:
            return None
        self._quiet = None
        try:
            following = LogFile(successor(self._path, file.identity))
        except (OSError, SourceError) as error:
            self.problem = _why(error)
            return None
        self.problem = ""
        return following

    # Waiting -----------------------------------------------------------------------------------

    async def _stirred(self) -> None:
        if self._quiet:
            left_s = self._quiet[1] + self._linger_s - self._clock()
            await self._pause(max(left_s, 0.001))
            return
        fast = self._file and not self._inotify
        while not await self._pause(POLL_S if fast else GLANCE_S):
            if self._file is None or self._differs(self._file):
                return

    async def _pause(self, at_most_s: float) -> bool:
        """Return whether inotify told of something; without it, always False after the time."""
        if self._inotify:
            return await self._inotify.wait(at_most_s)
        await asyncio.sleep(at_most_s)
        return False

    def _differs(self, file: LogFile) -> bool:
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


def _inotify(directory: Path) -> Inotify | None:
    try:
        return Inotify(directory)
    except OSError:  # none left (fs.inotify.max_user_instances): look from time to time
        return None
