"""The seam between what is decided and what the kernel does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from excise.decide.plan import ActiveSet, ChangeSet, Desired, Measure


@dataclass(frozen=True, slots=True)
class Traffic:
    """Packets and bytes that a measure took away from a target."""

    packets: int
    bytes: int


Counters = Mapping[tuple[str, Measure], Traffic]


class Enforcer(Protocol):
    """A backend. Every call blocks, so run it in an executor; any thread may call.

    All raise EnforceError: PrivilegeError without CAP_NET_ADMIN, ForeignTableError where
    somebody else holds our names, DivergedError where the kernel holds what we did not expect,
    after which `replace` puts it right.
    """

    @property
    def name(self) -> str:
        """The backend's name in the configuration file."""
        ...

    def open(self) -> None:
        """Take over what an earlier run left, without a gap, or start empty."""
        ...

    def read(self) -> ActiveSet:
        """Return what the kernel holds now."""
        ...

    def apply(self, change: ChangeSet) -> None:
        """Make a change and read it back; in one transaction unless it is large."""
        ...

    def replace(self, wish: Desired) -> int:
        """Make the backend hold `wish`, whatever is there now; return how many entries changed."""
        ...

    def repair(self) -> int:
        """Put back what others changed of what was put there; return how many entries that were."""
        ...

    def set_guards(self, allow: Sequence[str], ports: Sequence[int]) -> None:
        """Say what always passes (CIDRs), and which service ports are touched at all."""
        ...

    def in_sync(self) -> bool:
        """Whether the kernel still holds what we put there; cheap enough for a poll."""
        ...

    def unmet(self) -> str:
        """Say what a person must do before this bites; empty where nothing. Asks no kernel."""
        ...

    def counters(self) -> Counters:
        """Return what was taken away, by target and measure, where the backend counts it."""
        ...

    def lift_all(self) -> None:
        """Remove every trace from the kernel."""
        ...

    def close(self, *, keep: bool) -> None:
        """End; with `keep` what is enforced stays until its deadlines."""
        ...
