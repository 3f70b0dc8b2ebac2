"""The seam between what is decided and what the kernel does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from excise.decide.plan import ActiveSet, ChangeSet, Desired, Element, Measure
from excise.decide.span import Span
from excise.model.portguard import NO_GUARD, PortGuard


@dataclass(frozen=True, slots=True)
class Traffic:
    """Packets and bytes that a measure took away from a target."""

    packets: int
    bytes: int

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(self.packets + other.packets, self.bytes + other.bytes)


@dataclass(frozen=True, slots=True)
class ForeignChange:
    """One transaction of another process: what it did to our tables, such as `deleted table …`."""

    pid: int
    process: str
    deeds: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.process} (pid {self.pid}) {', '.join(self.deeds)}"


@dataclass(frozen=True, slots=True)
class Witnessed:
    """What was heard of others: changes of our tables, and how many were about something else.

    `lost`: how often the kernel had more to tell than there was room for. `problem`: why nothing
    can be heard although it was wished for.
    """

    changes: tuple[ForeignChange, ...] = ()
    others: int = 0
    lost: int = 0
    listening: bool = False
    problem: str = ""


K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Counted(Generic[K]):
    """What was taken away. `epoch` changes whenever all of these counters began from zero."""

    epoch: int
    traffic: Mapping[K, Traffic]


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

    def set_guards(
        self, allow: Sequence[str], ports: Sequence[int], guard: PortGuard = NO_GUARD
    ) -> None:
        """Say what always passes (CIDRs), which ports are touched at all, and which are shut."""
        ...

    def in_sync(self) -> bool:
        """Whether the kernel still holds what we put there; cheap enough for a poll."""
        ...

    def unmet(self) -> str:
        """Say what a person must do before this bites; empty where nothing. Asks no kernel."""
        ...

    def counters(self, elements: Iterable[Element]) -> Counted[tuple[Measure, Span]]:
        """Return what was taken away from those of these elements that have a counter.

        A counter also starts from zero when its element alone is put in anew.
        """
        ...

    def totals(self) -> Counted[Measure]:
        """Return all that was taken away, by measure; empty where that is not counted."""
        ...

    def witnessed(self) -> Witnessed:
        """Return what others did since the last call, where the backend listens for it."""
        ...

    def lift_all(self) -> None:
        """Remove every trace from the kernel."""
        ...

    def close(self, *, keep: bool) -> None:
        """End; with `keep` what is enforced stays until its deadlines."""
        ...
