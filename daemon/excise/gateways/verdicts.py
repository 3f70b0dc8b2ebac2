"""Verdicts on accounts, offered to a gateway as something it can look up by itself.

What is offered lapses by itself: each account carries the moment until which it is denied, never
further ahead than a lease, and the lease is renewed while the daemon answers. So whoever dies, the
daemon, the one who publishes, or the host's clock, requests go through again half a minute later.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from excise.errors import ExciseError

LEASE_S = 30.0
#: of the files that deny
SUFFIX = ".denied"
#: an account id as the shipped gateway files make it; others are not looked up there
_ACCOUNT = re.compile(r"[0-9A-Za-z_-]{1,128}")
#: account → epoch seconds until which it is denied
Denied = Mapping[str, float]


class BoardError(ExciseError):
    """A gateway cannot be told."""


class Board(Protocol):
    """Where a gateway looks."""

    def show(self, denied: Denied) -> None:
        """Make this what the gateway sees, and nothing else. Raises BoardError."""
        ...


class Publisher:
    """Keeps boards up to date with what the daemon decides."""

    def __init__(self, boards: list[Board], clock: Callable[[], float]) -> None:
        self._boards, self._clock = boards, clock
        self._shown: frozenset[str] | None = None
        self._renew_at = 0.0

    def publish(self, wanted: Denied) -> int:
        """Show who is denied, where that changed or its lease wears off.

        Return how many accounts no gateway can look up. Raises BoardError; the other boards are
        told all the same, and the next call tries again.
        """
        now = self._clock()
        usable = {a: t for a, t in wanted.items() if _ACCOUNT.fullmatch(a) and t > now}
        names = frozenset(usable)
        if names != self._shown or now >= self._renew_at:
            self._show({a: min(t, now + LEASE_S) for a, t in usable.items()})
            self._shown, self._renew_at = names, now + LEASE_S / 2
        return sum(1 for account in wanted if not _ACCOUNT.fullmatch(account))

    def clear(self) -> None:
        """Deny nobody any more. Raises BoardError."""
        self._shown = None
        self._show({})

    def _show(self, denied: Denied) -> None:
        self._shown = None  # until all boards have it
        problems = []
        for board in self._boards:
            try:
                board.show(denied)
            except BoardError as error:
                problems.append(str(error))
        if problems:
            raise BoardError("; ".join(problems))


class DirectoryBoard:
    """An empty file for each denied account; its time of change is when the denial ends.

    nginx looks at that, one system call a request. No other file of the directory is touched.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def show(self, denied: Denied) -> None:
        """See `Board`."""
        try:
            wanted = {f"{account}{SUFFIX}": until for account, until in denied.items()}
            there = {name for name in os.listdir(self._directory) if name.endswith(SUFFIX)}
            for name in there - wanted.keys():
                with contextlib.suppress(FileNotFoundError):
                    (self._directory / name).unlink()
            for name, until in wanted.items():
                path = self._directory / name
                if name not in there:
                    path.touch(mode=0o644)  # as of now it denies nobody
                os.utime(path, (until, until))
        except OSError as error:
            raise BoardError(f"{error.filename or self._directory}: {error.strerror}") from error
