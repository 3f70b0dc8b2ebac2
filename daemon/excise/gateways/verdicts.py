"""Verdicts on accounts, offered to a gateway as something it can look up by itself.

What is offered lapses by itself: each account carries the moment until which it is denied or
throttled, never further ahead than a lease, and the lease is renewed while the daemon answers. So
whoever dies, the daemon, the one who publishes, or the host's clock, requests go through again half
a minute later.

A throttled account is served in one minute out of so many, its *turn*, and the gateway says when
that begins. A limit of requests a minute alone would not slow the accounts of a large pool, each of
which asks once an hour: there is never a second request to refuse.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from excise.errors import ExciseError

LEASE_S = 30.0
#: endings of the files that deny, and of those that throttle
DENIED, THROTTLED = ".denied", ".throttled"
#: a throttled account is served in one minute out of so many: by the mildest tier, by the others
MILD_MIN, STRICT_MIN = 3, 10
#: an account id as the shipped gateway files make it; others are not looked up there
_ACCOUNT = re.compile(r"[0-9A-Za-z_-]{1,128}")


@dataclass(frozen=True, slots=True)
class Term:
    """How long an account is met (epoch seconds), and how.

    It is served in one minute out of `minutes`; 0 says never.
    """

    until: float
    minutes: int = 0


#: by account
Terms = Mapping[str, Term]


class BoardError(ExciseError):
    """A gateway cannot be told."""


class Board(Protocol):
    """Where a gateway looks."""

    def show(self, terms: Terms) -> None:
        """Make this what the gateway sees, and nothing else. Raises BoardError."""
        ...


class Publisher:
    """Keeps boards up to date with whom the daemon denies, or with whom it throttles."""

    def __init__(self, boards: list[Board], clock: Callable[[], float]) -> None:
        self._boards, self._clock = boards, clock
        self._shown: dict[str, int] | None = None
        self._renew_at = 0.0

    def publish(self, wanted: Terms) -> int:
        """Show who is met, where that changed or its lease wears off.

        Return how many accounts no gateway can look up. Raises BoardError; the other boards are
        told all the same, and the next call tries again.
        """
        now = self._clock()
        usable = {a: t for a, t in wanted.items() if _ACCOUNT.fullmatch(a) and t.until > now}
        ways = {account: term.minutes for account, term in usable.items()}
        if ways != self._shown or now >= self._renew_at:
            most = now + LEASE_S
            self._show({a: replace(t, until=min(t.until, most)) for a, t in usable.items()})
            self._shown, self._renew_at = ways, now + LEASE_S / 2
        return sum(1 for account in wanted if not _ACCOUNT.fullmatch(account))

    def clear(self) -> None:
        """Meet nobody any more. Raises BoardError."""
        self._shown = None
        self._show({})

    def _show(self, terms: Terms) -> None:
        self._shown = None  # until all boards have it
        problems = []
        for board in self._boards:
            try:
                board.show(terms)
            except BoardError as error:
                problems.append(str(error))
        if problems:
            raise BoardError("; ".join(problems))


class DirectoryBoard:
    """A file for each account, with an ending of its own; its time of change is when that lapses.

    nginx looks at that, one system call a request. The file of a throttled account says how many
    minutes come to one turn, any other is empty. No other file of the directory is touched.
    """

    def __init__(self, directory: Path, ending: str) -> None:
        self._directory, self._ending = directory, ending

    def show(self, terms: Terms) -> None:
        """See `Board`."""
        try:
            wanted = {f"{account}{self._ending}": term for account, term in terms.items()}
            there = {name for name in self._files() if name.endswith(self._ending)}
            for name in there - wanted.keys():
                with contextlib.suppress(FileNotFoundError):
                    (self._directory / name).unlink()
            for name, term in wanted.items():
                path = self._directory / name
                text = f"{term.minutes}\n" if term.minutes else ""
                if name not in there or path.read_text() != text:
                    path.write_text(text)  # as of now it holds nobody up
                    path.chmod(0o644)
                os.utime(path, (term.until, term.until))
        except OSError as error:
            raise BoardError(f"{error.filename or self._directory}: {error.strerror}") from error

    def _files(self) -> list[str]:
        try:
            return os.listdir(self._directory)
        except FileNotFoundError as error:
            raise BoardError(
                f"{self._directory}: no such directory; make it, readable for the gateway, or name "
                f"another with --directory"
            ) from error
