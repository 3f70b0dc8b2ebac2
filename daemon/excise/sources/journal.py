"""systemd's journal, read by its own program: there is no other stable way in."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import msgspec

from excise.config import JournalConfig
from excise.decode.base import MAX_LINE_BYTES
from excise.errors import SourceError
from excise.sources.backoff import Backoff
from excise.sources.base import CHUNK_BYTES, Chunk, Mark, Place, State, Toll, waiting_bytes
from excise.sources.journal_entry import Entry, newest, parse_entry, reading, where

JOURNALCTL = "journalctl"
ASK_S = 20.0
#: most of what journalctl says on its standard error that is kept
_SAID_BYTES = 4096
#: an entry longer than this is passed over: the longest line, a byte written as `255, `
MOST_ENTRY_BYTES = 6 * MAX_LINE_BYTES


class Journal:
    """Follows the entries that a configuration names. Started again with growing pauses."""

    def __init__(
        self,
        config: JournalConfig,
        *,
        from_start: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raise SourceError where the journal cannot be read: no journalctl, no right."""
        self.name = config.name
        self.state = State.WAITING
        self.problem = self.note = ""
        self.toll = Toll.zero()
        self._config, self._clock = config, clock
        self._program = find_journalctl()
        last = last_cursor(self._program, config)
        self._after = None if from_start else last
        self._process: subprocess.Popen[bytes] | None = None
        self._rest, self._said = b"", b""
        self._skipping, self._lost = False, 0
        self._backoff = Backoff()
        self._not_before_s = 0.0

    @property
    def cursor(self) -> Place | None:
        """The place reached; see `Source`. None only where the journal had no entry yet."""
        return Mark(self._after) if self._after else None

    def seek(self, cursor: Place) -> None:
        """Resume behind an entry; see `Source`."""
        if not isinstance(cursor, Mark):
            raise SourceError(f"the stored cursor {cursor} is no place in a journal")
        self._after = cursor.mark
        oldest = oldest_cursor(self._program, self._config)
        if oldest and written_us(oldest) > written_us(self._after):
            self.toll.lost["break"] += 1
            self._lost = 1

    def poll(self) -> Chunk | None:
        """Return the lines of the entries that came; see `Source`."""
        if self._process is None and not self._start():
            return None
        data = self._read(self._process)
        if data is None:
            self.state = State.WAITING
            return None
        if not data:
            self._died()
            return None
        return self._chunk(data)

    async def changed(self) -> None:
        """Return when there may be more; see `Source`."""
        if self._process is None or self._process.stdout is None:
            await asyncio.sleep(max(0.0, self._not_before_s - self._clock()))
            return
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        fd = self._process.stdout.fileno()
        loop.add_reader(fd, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(fd)

    def close(self) -> None:
        """End journalctl."""
        if self._process is not None:
            self._process.kill()
            self._reap(self._process)
            self._process = None

    def _start(self) -> bool:
        if self._clock() < self._not_before_s:
            return False
        try:
            self._process = follow(self._program, self._config, self._after)
        except OSError as error:
            self._pause(f"journalctl cannot be started: {error.strerror}")
            return False
        self._rest = self._said = b""
        self._skipping = False
        return True

    def _read(self, process: subprocess.Popen[bytes] | None) -> bytes | None:
        """Return what journalctl wrote, b"" once it has ended, None if there is nothing now."""
        if process is None or process.stdout is None or process.stderr is None:
            return b""
        with suppress(BlockingIOError):
            more = os.read(process.stderr.fileno(), _SAID_BYTES)
            self._said = (self._said + more)[-_SAID_BYTES:]
        pieces: list[bytes] = []
        try:
            while sum(map(len, pieces)) < CHUNK_BYTES:
                piece = os.read(process.stdout.fileno(), CHUNK_BYTES)
                if not piece:
                    break
                pieces.append(piece)
        except BlockingIOError:
            return b"".join(pieces) or None
        return b"".join(pieces)

    def _chunk(self, data: bytes) -> Chunk | None:
        lines: list[bytes] = []
        for raw in self._split(data):
            try:
                entry = parse_entry(raw)
            except msgspec.DecodeError:
                self.toll.refused["journal-output"] += 1
                continue
            self._after = entry.cursor
            if entry.dropped:
                self.toll.lost["journal-dropped"] += entry.dropped
            lines += entry.lines
        if self._after is None:
            return None
        self.state, self.problem = State.READING, ""
        self._backoff.reset()
        lost, self._lost = self._lost, 0
        pipe = self._process.stdout if self._process else None
        ahead = waiting_bytes(pipe.fileno()) if pipe else 0
        return Chunk(lines, Mark(self._after), len(self._rest) + ahead, lost)

    def _split(self, data: bytes) -> list[bytes]:
        """Return whole lines of output; one without end is passed over, and takes no memory."""
        whole = (self._rest + data).split(b"\n")
        self._rest = whole.pop()
        if whole and self._skipping:
            del whole[0]
            self._skipping = False
        if len(self._rest) > MOST_ENTRY_BYTES and not self._skipping:
            self.toll.refused["too-long"] += 1
            self._skipping = True
        if self._skipping:
            self._rest = b""
        return whole

    def _died(self) -> None:
        process, self._process = self._process, None
        status = self._reap(process) if process else 0
        said = self._said.decode(errors="replace").strip().rpartition("\n")[2]
        self._pause(f"journalctl ended with status {status}" + (f": {said}" if said else ""))

    def _pause(self, problem: str) -> None:
        wait_s = self._backoff.step()
        self._not_before_s = self._clock() + wait_s
        self.state, self.problem = State.BLIND, f"{problem}; it is started again"

    @staticmethod
    def _reap(process: subprocess.Popen[bytes]) -> int:
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        return process.wait()


def find_journalctl() -> str:
    """Return where journalctl is. Raises SourceError."""
    program = shutil.which(JOURNALCTL)
    if program is None:
        raise SourceError("journalctl is not there; install systemd, or read a file")
    return program


def last_cursor(program: str, config: JournalConfig) -> str | None:
    """Return the newest entry's cursor, None if there is none. Raises SourceError."""
    done = _ask(program, newest(config))
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        advice = "give the user that runs excise the group systemd-journal"
        raise SourceError(f"{config.name} cannot be read: {said or 'no reason given'}; {advice}")
    return parse_entry(done.stdout).cursor if done.stdout.strip() else None


def oldest_cursor(program: str, config: JournalConfig) -> str | None:
    """Return the oldest entry's cursor, None if there is none or it cannot be read."""
    command = [program, *where(config), "--output=json", "--output-fields=_", "--no-pager"]
    with subprocess.Popen(  # noqa: S603  # arguments from the configuration, no shell
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        line = process.stdout.readline() if process.stdout else b""
        process.kill()
    return parse_entry(line).cursor if line.strip() else None


def written_us(cursor: str) -> int:
    """Return when the entry of a cursor was written, in microseconds since 1970; 0: unknown."""
    fields = dict(part.partition("=")[::2] for part in cursor.split(";"))
    try:
        return int(fields.get("t", "0"), 16)
    except ValueError:
        return 0


def follow(program: str, config: JournalConfig, after: str | None) -> subprocess.Popen[bytes]:
    """Start journalctl behind a cursor; its pipes do not block. Raises OSError."""
    process = subprocess.Popen(  # noqa: S603  # arguments from the configuration, no shell
        [program, *reading(config, after, follow=True)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            os.set_blocking(pipe.fileno(), False)
    return process


def entries_between(config: JournalConfig, begin: str | None, end: str) -> Iterator[Entry]:
    """Yield the entries behind `begin` up to `end`, included, waiting for each.

    Raises SourceError where journalctl fails or `end` is not among them.
    """
    program = find_journalctl()
    command = [program, *reading(config, begin, follow=False)]
    with subprocess.Popen(  # noqa: S603  # as above
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            for line in process.stdout or ():
                entry = parse_entry(line)
                yield entry
                if entry.cursor == end:
                    return
        except msgspec.DecodeError as error:
            raise SourceError(f"{config.name}: journalctl wrote no entry: {error}") from error
        finally:
            process.kill()
    raise SourceError("the journal ends before the stored place; learned less")


def _ask(program: str, arguments: list[str]) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(  # noqa: S603  # as above
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=ASK_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SourceError(f"journalctl cannot be asked: {error}") from error
