"""Every error that excise raises on purpose. Each says what, where, and what to do next.

Classes carry the meaning; nobody matches on text. `exit_status` is what the command line
returns for the class (0 done, 1 failed, 2 usage, 3 unreachable, 4 refused, 5 invalid).
"""

from __future__ import annotations

from dataclasses import dataclass


class ExciseError(Exception):
    """Root of all errors raised on purpose."""

    exit_status = 1


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a text file; `line` and `column` count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class InvalidError(ExciseError):
    """A configuration or rule that cannot be used; `mark` says where."""

    exit_status = 5

    def __init__(self, message: str, mark: Mark | None = None, hint: str = "") -> None:
        self.message, self.mark, self.hint = message, mark, hint
        where = f"{mark}: " if mark else ""
        super().__init__(f"{where}{message}" + (f" ({hint})" if hint else ""))


class ConfigError(InvalidError):
    """The configuration file is invalid."""


class RuleError(InvalidError):
    """A rule is invalid, or its own tests fail."""


class RefusedError(ExciseError):
    """An operator's wish that safety forbids: a never-block address, a missing right."""

    exit_status = 4


class NotFoundError(ExciseError):
    """The thing named does not exist."""


class EnforceError(ExciseError):
    """The kernel did not take a change."""


class PrivilegeError(EnforceError):
    """The kernel refused for lack of CAP_NET_ADMIN."""

    exit_status = 4


class ForeignTableError(EnforceError):
    """A table of our name belongs to somebody else."""


class DivergedError(EnforceError):
    """What the kernel holds is not what we believed: rebuild."""


class UnsupportedError(EnforceError):
    """The kernel does not know how to do what was asked."""


class StoreError(ExciseError):
    """The state database cannot be used."""


class InUseError(StoreError):
    """Another daemon holds the state directory."""


class SourceError(ExciseError):
    """An input cannot be read."""


class UnreachableError(ExciseError):
    """The daemon does not answer on its control socket."""

    exit_status = 3


class FormatError(InvalidError):
    """No log format of that name, or none that fits the lines."""
