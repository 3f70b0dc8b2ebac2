"""The state directory: one daemon at a time, and this host's secrets."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from excise.errors import InUseError, StoreError
from excise.hostfile import give_to_owner, write_whole

KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """Where things are under `state:` of the configuration."""

    root: Path

    @property
    def database(self) -> Path:
        """Decisions, events, cursors."""
        return self.root / "excise.db"

    @property
    def snapshot(self) -> Path:
        """The engine's learned state."""
        return self.root / "engine.snapshot"

    @property
    def lock(self) -> Path:
        """Held by the running daemon; holds its process id."""
        return self.root / "lock"

    @property
    def account_key(self) -> Path:
        """The secret that makes account ids of credentials."""
        return self.root / "account-key"

    def make(self) -> None:
        """Make the directory if it is missing. Raises StoreError."""
        try:
            self.root.mkdir(mode=0o750, parents=True, exist_ok=True)
        except FileExistsError as error:
            raise StoreError(
                f"state directory {self.root}: something else is there; remove it, or set state:"
                " to another directory"
            ) from error
        except OSError as error:
            raise StoreError(
                f"state directory {self.root}: {error.strerror}; create it for the user that runs"
                " excise, or set state: to another directory"
            ) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory. Raises InUseError if another daemon does."""
        self.make()
        try:
            handle = os.open(
                self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640
            )
            give_to_owner(handle, self.root)
        except OSError as error:
            raise self._closed(self.lock, error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            raise InUseError(
                f"state directory {self.root} is in use by process {holder};"
                " stop that daemon, or set state: to another directory"
            ) from None
        try:
            with contextlib.suppress(OSError):  # a full disk; what counts is the lock
                os.ftruncate(handle, 0)
                os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(handle)

    def load_account_key(self) -> bytes:
        """Return this host's key for account ids, made on first use. Raises StoreError."""
        try:
            if not self.account_key.exists():
                write_whole(self.account_key, (secrets.token_bytes(KEY_BYTES),), 0o600)
            key = self.account_key.read_bytes()
        except OSError as error:
            raise self._closed(self.account_key, error) from error
        if len(key) != KEY_BYTES:
            raise StoreError(
                f"{self.account_key} does not hold {KEY_BYTES} bytes; remove it and a new key is"
                " made, but account ids then change"
            )
        return key

    def _closed(self, path: Path, error: OSError) -> StoreError:
        """Return what to say of a file that cannot be used, and what to do about it."""
        if not isinstance(error, PermissionError):
            return StoreError(f"{path}: {error.strerror}; check the space in {self.root}")
        me, owner = _user(os.geteuid()), self._owner()
        todo = f"run excise as {owner}, whose directory it is"
        if me == owner:
            todo = f"give all in it to the user that runs excise: chown -R {me}: {self.root}"
        return StoreError(f"{path}: {error.strerror}; {todo}")

    def _owner(self) -> str:
        try:
            return _user(self.root.stat().st_uid)
        except OSError:
            return "the user"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
