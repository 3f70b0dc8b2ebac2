"""Whether the inputs can be read, as far as can be said without reading them."""

from __future__ import annotations

import os
from glob import glob
from pathlib import Path

from excise.config import InputConfig, JournalConfig, SocketConfig, Wire
from excise.doctor.check import Check, State
from excise.errors import SourceError
from excise.sources.journal import find_journalctl, last_cursor
from excise.unpack import is_packed


def check_input(one: InputConfig) -> Check:
    """Whether an input can be read by this user."""
    if one.journal is not None:
        return check_journal(one.journal)
    if one.socket is not None:
        return check_socket(one.socket)
    if one.file is None:
        return Check("input", State.OK, one.name)
    return check_pattern(one) if one.pattern else check_file(one, one.file)


def check_file(one: InputConfig, file: Path) -> Check:
    """Whether a log can be read by this user."""
    name = f"{file} ({one.format})"
    if os.access(file, os.R_OK):
        return Check("input", State.OK, f"{name} is readable")
    if _exists(file):
        advice = "add the daemon's user to the file's group (adm for nginx on Debian)"
        return Check("input", State.FAIL, f"{name} is not readable", advice)
    advice = "let the gateway log there; the daemon waits for the file"
    return Check("input", State.WARN, f"{name} is not there", advice)


def check_journal(journal: JournalConfig) -> Check:
    """Whether the journal can be read by this user."""
    try:
        last_cursor(find_journalctl(), journal)
    except SourceError as error:
        return Check("input", State.FAIL, str(error), "see docs/inputs.md, journal")
    return Check("input", State.OK, f"{journal.name} is readable")


def check_socket(socket: SocketConfig) -> Check:
    """Whether a socket can be made where it is configured, as far as can be said without it."""
    if socket.wire is not Wire.UNIX:
        return Check("input", State.OK, f"{socket.name} will be listened on")
    directory = socket.path.parent
    if not directory.is_dir():
        advice = "make it, or put the socket into /run/excise, which the unit makes"
        return Check("input", State.FAIL, f"{directory} is not there for {socket.name}", advice)
    return Check("input", State.OK, f"{socket.name} has its directory")


def check_pattern(one: InputConfig) -> Check:
    """Whether any file fits a pattern, and all that do can be read by this user."""
    names = [name for name in glob(one.name, recursive=True) if not is_packed(name)]
    if not names:
        return Check("input", State.WARN, f"no file fits {one.name}", "is the path right?")
    closed = [name for name in names if not os.access(name, os.R_OK)]
    if closed:
        advice = "add the daemon's user to the files' group (adm for nginx on Debian)"
        return Check("input", State.FAIL, f"{closed[0]} is not readable", advice)
    return Check("input", State.OK, f"{one.name}: readable, {len(names)} now")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a directory above may not be looked into
        return True
