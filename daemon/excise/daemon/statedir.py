"""The state directory: one daemon at a time, and this host's secrets."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from excise.errors import InUseError, StoreError

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
            handle = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise StoreError(f"{self.lock}: {error.strerror}; check its owner") from error
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
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(handle)

    def load_account_key(self) -> bytes:
        """Return this host's key for account ids, made on first use. Raises StoreError."""
        try:
            if not self.account_key.exists():
                self._make_key()
            key = self.account_key.read_bytes()
        except OSError as error:
            raise StoreError(f"{self.account_key}: {error.strerror}; check its owner") from error
        if len(key) != KEY_BYTES:
            raise StoreError(
                f"{self.account_key} does not hold {KEY_BYTES} bytes; remove it and a new key is"
                " made, but account ids then change"
            )
        return key

    def _make_key(self) -> None:
        # Renamed into place: a key that is there is whole.
        temporary = self.account_key.with_name(self.account_key.name + ".tmp")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
        temporary.rename(self.account_key)
