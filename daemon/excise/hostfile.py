"""Files of the state directory: whole or not at all, and its owner's whoever makes them.

Root may start excise in the foreground, or lift everything, where the service runs as a user of
its own. What it leaves there must not shut that user out.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path


def write_whole(path: Path, pieces: Iterable[bytes], mode: int) -> None:
    """Replace the file at `path` atomically. Raises OSError: the old one stays, and nothing else.

    What a failed write has put down is removed: on a full disk it would keep the disk full.
    """
    temporary = path.with_name(path.name + ".tmp")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            give_to_owner(handle, path.parent)
            file.writelines(pieces)
            file.flush()
            os.fsync(handle)
        temporary.rename(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def give_to_owner(handle: int, directory: Path) -> None:
    """Give an open file to whom its directory belongs, where this is root and that is not.

    Where root may not, it stays root's.
    """
    owner = directory.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        with contextlib.suppress(PermissionError):
            os.fchown(handle, owner.st_uid, owner.st_gid)


def make_empty(path: Path, mode: int) -> None:
    """Make an empty file that is its directory's owner's, unless one is there. Raises OSError."""
    with contextlib.suppress(FileExistsError):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            give_to_owner(handle, path.parent)
        finally:
            os.close(handle)


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
