"""The last lines of an input, without consuming any: bounded, and never waiting."""

from __future__ import annotations

import os
import stat
import subprocess
import threading
from pathlib import Path

import msgspec

from excise.config import JournalConfig
from excise.errors import SourceError
from excise.sources.journal import ASK_S, find_journalctl
from excise.sources.journal_entry import parse_entry, reading

SAMPLE_BYTES = 1 << 20
JOURNAL_LINES = 1000


def last_lines(path: Path | str, most_bytes: int = SAMPLE_BYTES) -> list[bytes]:
    """Return the whole lines among a file's last bytes. Raises SourceError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        with os.fdopen(fd, "rb") as file:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise SourceError(f"{path} is no plain file, so its lines cannot be looked at")
            begin = max(0, found.st_size - most_bytes)
            file.seek(max(0, begin - 1))
            data = file.read(most_bytes + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceError(f"{path} cannot be read: {reason}") from error
    lines = data.split(b"\n")[:-1]  # what has no end yet is still being written
    return lines[1:] if begin else lines


def journal_lines(config: JournalConfig, most_bytes: int = SAMPLE_BYTES) -> list[bytes]:
    """Return the last lines of a journal's entries. Raises SourceError."""
    command = [find_journalctl(), f"--lines={JOURNAL_LINES}"]
    command += reading(config, None, follow=False)
    try:
        with subprocess.Popen(  # noqa: S603  # arguments from the configuration, no shell
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            guard = threading.Timer(ASK_S, process.kill)
            guard.start()
            try:
                data = process.stdout.read(most_bytes) if process.stdout else b""
            finally:
                guard.cancel()
                process.kill()
        entries = [parse_entry(line) for line in data.split(b"\n")[:-1]]
    except (OSError, msgspec.DecodeError) as error:
        raise SourceError(f"{config.name} cannot be looked at: {error}") from error
    return [line for entry in entries for line in entry.lines]
