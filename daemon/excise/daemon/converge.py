"""Makes the kernel hold what is wished for: read, plan, apply. Blocking; one thread calls it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from excise.decide.plan import ActiveSet, desired, plan
from excise.enforce.base import Enforcer
from excise.errors import DivergedError
from excise.model.decision import Decision, Plane, Tier


@dataclass(frozen=True, slots=True)
class Wish:
    """What the kernel should be made from. `now` is the wall clock, epoch seconds.

    `protected` are CIDRs that always pass; `ports` those of the inference service.
    """

    decisions: Sequence[Decision]
    tiers: Sequence[Tier]
    protected: Sequence[str]
    ports: Sequence[int]
    now: float

    @property
    def enforcing(self) -> list[Decision]:
        """Decisions that the kernel has something to do for."""
        return [d for d in self.decisions if d.plane is Plane.NETWORK and d.enforcing]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the kernel stands after a round. `lapsed`: decisions past their end by the wall clock."""

    entries: int
    changes: int
    repaired: bool
    lapsed: int


class Converger:
    """Remembers what the kernel was made to hold, so that a round only sends what changed."""

    def __init__(self, enforcer: Enforcer) -> None:
        self._enforcer = enforcer
        self._active: ActiveSet | None = None
        self._guards: tuple[tuple[str, ...], tuple[int, ...]] | None = None
        self._opened = False

    @property
    def opened(self) -> bool:
        """Whether the kernel holds anything of ours."""
        return self._opened

    @property
    def backend(self) -> str:
        """The enforcer's name."""
        return self._enforcer.name

    def open(self, protected: Sequence[str], ports: Sequence[int]) -> None:
        """Take over what an earlier run left. Raises EnforceError."""
        if self._opened:
            return
        self._enforcer.open()
        self._guards, self._active, self._opened = None, None, True
        self._guard(protected, ports)

    def sweep(self) -> None:
        """Remove every trace of this run and of earlier ones. Raises EnforceError."""
        if not self._opened:
            self._enforcer.open()
        self._enforcer.lift_all()
        self._enforcer.close(keep=True)
        self._active, self._guards, self._opened = None, None, False

    def drifted(self) -> bool:
        """Whether the kernel no longer holds what it was made to hold."""
        return self._opened and (self._active is None or not self._enforcer.in_sync())

    def converge(self, wish: Wish) -> Outcome:
        """Make the kernel hold what `wish` asks for. Raises EnforceError.

        Nothing is touched, not even a table made, before there is something to enforce.
        """
        enforcing = wish.enforcing
        lapsed = sum(decision.until <= wish.now for decision in enforcing)
        if not self._opened and lapsed == len(enforcing):
            return Outcome(entries=0, changes=0, repaired=False, lapsed=lapsed)
        self.open(wish.protected, wish.ports)
        want = desired(enforcing, wish.tiers, wish.protected, wish.now)
        try:
            self._guard(wish.protected, wish.ports)
            changes, repaired = self._apply(want, wish.now)
        except DivergedError:
            self._active, self._guards = None, None
            self._enforcer.replace(want)
            self._guard(wish.protected, wish.ports)
            self._active, changes, repaired = want, len(want), True
        return Outcome(len(want), changes, repaired, lapsed)

    def close(self, *, keep: bool) -> None:
        """Let go of the kernel; with `keep` what is enforced stays until its deadlines."""
        if self._opened:
            self._enforcer.close(keep=keep)
            self._opened = False

    def _guard(self, protected: Sequence[str], ports: Sequence[int]) -> None:
        guards = (tuple(protected), tuple(ports))
        if guards != self._guards:
            self._guards = None
            self._enforcer.set_guards(*guards)
            self._guards = guards

    def _apply(self, want: ActiveSet, now: float) -> tuple[int, bool]:
        believed = self._active
        # Unknown until the change is done: a failure half way is read back, not guessed.
        self._active = None
        drifted = believed is not None and not self._enforcer.in_sync()
        active = self._enforcer.read() if believed is None or drifted else believed
        change = plan(want, active.alive(now))
        if not change.is_empty:
            self._enforcer.apply(change)
        self._active = want
        return len(change), drifted and not change.is_empty
