"""Makes the kernel hold what is wished for: read, plan, apply. Blocking; one thread calls it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from excise.daemon.roll import Census, Region
from excise.decide.plan import ActiveSet, ChangeSet, Element, Measure, desired, gather, plan
from excise.enforce.base import Enforcer
from excise.errors import DivergedError
from excise.model.decision import Tier

#: everything is planned anew at least so often: ends by the wall clock come without an event
WHOLE_S = 60.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What the kernel should be made from. `now` is the wall clock, epoch seconds.

    `protected` are CIDRs that always pass; `ports` those of the inference service.
    """

    census: Census
    tiers: Sequence[Tier]
    protected: Sequence[str]
    ports: Sequence[int]
    now: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the kernel stands after a round. `lapsed`: decisions past their end by the wall clock."""

    entries: int
    changes: int
    repaired: bool
    lapsed: int


class Converger:
    """Remembers what the kernel was made to hold, so that a round only plans what changed."""

    def __init__(self, enforcer: Enforcer) -> None:
        self._enforcer = enforcer
        self._active: ActiveSet | None = None
        self._guards: tuple[tuple[str, ...], tuple[int, ...]] | None = None
        self._basis: tuple[tuple[Tier, ...], tuple[str, ...]] | None = None
        self._planned_whole = float("-inf")
        self._lapsed = 0
        self._opened = False

    @property
    def opened(self) -> bool:
        """Whether the kernel holds anything of ours."""
        return self._opened

    @property
    def backend(self) -> str:
        """The enforcer's name."""
        return self._enforcer.name

    @property
    def unmet(self) -> str:
        """What a person must do before what the kernel holds bites; empty where nothing."""
        return self._enforcer.unmet() if self._opened else ""

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
        believed, self._active = self._active, None
        if not self._opened and self._count_lapsed(wish) == len(wish.census.entries):
            return Outcome(entries=0, changes=0, repaired=False, lapsed=self._lapsed)
        self.open(wish.protected, wish.ports)
        try:
            self._guard(wish.protected, wish.ports)
            drifted = believed is not None and not self._enforcer.in_sync()
            if believed is not None and not drifted and self._only_parts_changed(wish):
                active, changes = self._plan_parts(believed, wish)
            else:
                held = self._enforcer.read() if believed is None or drifted else believed
                active, changes = self._plan_whole(held, wish)
        except DivergedError:
            active = self._build_anew(wish)
            drifted, changes = True, len(active)
        # Unknown until here: a failure half way is read back, not guessed.
        self._active = active
        return Outcome(len(active), changes, drifted and changes > 0, self._lapsed)

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

    def _only_parts_changed(self, wish: Wish) -> bool:
        basis = (tuple(wish.tiers), tuple(wish.protected))
        recent = wish.now - self._planned_whole < WHOLE_S
        return wish.census.changed is not None and recent and basis == self._basis

    def _plan_parts(self, believed: ActiveSet, wish: Wish) -> tuple[ActiveSet, int]:
        """Plan the regions that changes reach; the rest stays as it is."""
        region = wish.census.region()
        decisions = list(wish.census.within(region))
        want = desired(decisions, wish.tiers, wish.protected, wish.now)
        have = gather(e for e in _held_in(believed, region) if e.until > wish.now)
        change = self._apply(plan(want, have))
        return change.onto(believed), len(change)

    def _plan_whole(self, held: ActiveSet, wish: Wish) -> tuple[ActiveSet, int]:
        want = self._want(wish)
        change = self._apply(plan(want, held.alive(wish.now)))
        return want, len(change)

    def _build_anew(self, wish: Wish) -> ActiveSet:
        self._guards = None
        want = self._want(wish)
        self._enforcer.replace(want)
        self._guard(wish.protected, wish.ports)
        return want

    def _want(self, wish: Wish) -> ActiveSet:
        self._count_lapsed(wish)
        self._planned_whole = wish.now
        self._basis = (tuple(wish.tiers), tuple(wish.protected))
        return desired(wish.census.decisions(), wish.tiers, wish.protected, wish.now)

    def _apply(self, change: ChangeSet) -> ChangeSet:
        if not change.is_empty:
            self._enforcer.apply(change)
        return change

    def _count_lapsed(self, wish: Wish) -> int:
        entries = wish.census.entries.values()
        self._lapsed = sum(entry.decision.until <= wish.now for entry in entries)
        return self._lapsed


def _held_in(active: ActiveSet, region: Region) -> Iterator[Element]:
    """Yield the elements that lie in a region."""
    for measure in Measure:
        spans = active.held[measure]
        if region.only_hosts:
            yield from (spans[span] for span in region.spans if span in spans)
        else:
            yield from (e for span, e in spans.items() if region.holds(span))
