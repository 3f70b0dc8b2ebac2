"""The backend that touches nothing: keeps the set in memory and counts what it would change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from excise.decide.plan import ActiveSet, ChangeSet, Desired, Element, Measure, plan
from excise.decide.span import Span, merged
from excise.enforce.base import Counted, Witnessed
from excise.model.portguard import NO_GUARD, PortGuard


class DryRun:
    """An Enforcer without a kernel. `clock` gives epoch seconds."""

    name = "dry-run"

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._active = ActiveSet()
        self.additions = 0
        self.removals = 0
        self.allow: tuple[str, ...] = ()
        self.ports: tuple[int, ...] = ()
        self.guard = NO_GUARD

    def open(self) -> None:
        """Start empty."""

    def read(self) -> ActiveSet:
        """Return what has been applied and has not lapsed."""
        self._active = self._active.alive(self._clock())
        return self._active

    def apply(self, change: ChangeSet) -> None:
        """Note the change."""
        self.additions += len(change.additions)
        self.removals += len(change.removals)
        self._active = change.onto(self._active)

    def replace(self, wish: Desired) -> int:
        """Note the difference."""
        change = plan(wish, self.read())
        self.apply(change)
        return len(change)

    def repair(self) -> int:
        """Nobody else can change it."""
        return 0

    def set_guards(
        self, allow: Sequence[str], ports: Sequence[int], guard: PortGuard = NO_GUARD
    ) -> None:
        """Note the guards; raises ValueError for what is no CIDR, as a kernel backend would."""
        self.allow = tuple(map(str, merged(allow)))
        self.ports = tuple(sorted(set(ports)))
        self.guard = guard

    def in_sync(self) -> bool:
        """Nobody else can change it."""
        return True

    def unmet(self) -> str:
        """Nothing: there is nothing to bite."""
        return ""

    def counters(self, elements: Iterable[Element]) -> Counted[tuple[Measure, Span]]:  # noqa: ARG002  # the protocol's
        """No packet is seen."""
        return Counted(0, {})

    def totals(self) -> Counted[Measure]:
        """No packet is seen."""
        return Counted(0, {})

    def witnessed(self) -> Witnessed:
        """Nobody else is there."""
        return Witnessed()

    def lift_all(self) -> None:
        """Forget everything."""
        self._active = ActiveSet()

    def close(self, *, keep: bool) -> None:
        """End; nothing outlives the process, so `keep` changes nothing."""
        if not keep:
            self.lift_all()
