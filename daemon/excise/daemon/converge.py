"""Makes the kernel hold what is wished for: read, plan, apply. Blocking; one thread calls it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from excise.daemon.roll import Census
from excise.decide.capacity import Fitted, count, fit, is_client
from excise.decide.desired import desired_of
from excise.decide.holding import Holding
from excise.decide.plan import ActiveSet, ChangeSet, Element, Measure, plan
from excise.decide.span import Span
from excise.enforce.base import Counted, Enforcer, Witnessed
from excise.errors import DivergedError
from excise.model.decision import Tier
from excise.model.portguard import NO_GUARD, PortGuard
from excise.model.settings import Room

#: everything is planned anew at least so often, in case a change was missed
WHOLE_S = 600.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What the kernel should be made from. `now` is the wall clock, epoch seconds.

    `protected` are CIDRs that always pass; `ports` those of the inference service; `room` the
    most entries that there shall be; `guard` holds whatever is decided, and while nothing is.
    """

    census: Census
    tiers: Sequence[Tier]
    protected: Sequence[str]
    ports: Sequence[int]
    now: float
    room: Room = field(default_factory=Room)
    guard: PortGuard = NO_GUARD


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the kernel stands after a round.

    `lapsed` decisions are past their end by the wall clock; `evicted` ones found no room.
    """

    entries: int
    changes: int
    repaired: bool
    lapsed: int
    evicted: int = 0


class Converger:
    """Remembers what the kernel was made to hold, so that a round only plans what changed."""

    def __init__(self, enforcer: Enforcer) -> None:
        self._enforcer = enforcer
        #: None: not known, so everything is put in place anew
        self._held: Holding[bool] | None = None
        self._fitted = Fitted(ActiveSet())
        self._guards: tuple[tuple[str, ...], tuple[int, ...], PortGuard] | None = None
        self._basis: tuple[tuple[Tier, ...], tuple[str, ...], Room] | None = None
        self._planned_whole = float("-inf")
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

    def open(
        self, protected: Sequence[str], ports: Sequence[int], guard: PortGuard = NO_GUARD
    ) -> None:
        """Take over what an earlier run left. Raises EnforceError."""
        if self._opened:
            return
        self._enforcer.open()
        self._guards, self._held, self._opened = None, None, True
        self._guard(protected, ports, guard)

    def sweep(self) -> None:
        """Remove every trace of this run and of earlier ones. Raises EnforceError."""
        if not self._opened:
            self._enforcer.open()
        self._enforcer.lift_all()
        self._enforcer.close(keep=True)
        self._held, self._guards, self._opened = None, None, False

    def drifted(self) -> bool:
        """Whether the kernel no longer holds what it was made to hold."""
        return self._opened and (self._held is None or not self._enforcer.in_sync())

    def witnessed(self) -> Witnessed:
        """Return what others did to the kernel since the last call."""
        return self._enforcer.witnessed() if self._opened else Witnessed()

    def countable(self) -> list[Element]:
        """Return what may have counters of its own of what the kernel was made to hold."""
        found: list[Element] = []
        if self._held is not None:
            for measure, spans in self._held.view().held.items():
                if measure is not Measure.DROP:
                    found += spans.values()
                elif self._held.counts[False]:  # dropped clients have none
                    found += (e for e in spans.values() if not is_client(e.span))
        return found

    def count(self, elements: Sequence[Element]) -> Counted[tuple[Measure, Span]]:
        """Return what was counted for these elements. Raises EnforceError."""
        return self._enforcer.counters(elements) if self._opened else Counted(0, {})

    def count_all(self) -> Counted[Measure]:
        """Return all that was counted, by measure. Raises EnforceError."""
        return self._enforcer.totals() if self._opened else Counted(0, {})

    def converge(self, wish: Wish) -> Outcome:
        """Make the kernel hold what `wish` asks for. Raises EnforceError.

        Nothing is touched, not even a table made, before there is something to enforce or guard.
        """
        held, self._held = self._held, None
        idle = wish.census.lapsed == wish.census.total and not wish.guard.ports
        if not self._opened and idle:
            return Outcome(entries=0, changes=0, repaired=False, lapsed=wish.census.lapsed)
        self.open(wish.protected, wish.ports, wish.guard)
        repaired = False
        try:
            self._guard(wish.protected, wish.ports, wish.guard)
            if held is None:
                held, changes = self._put_in_place(wish)
            else:
                repaired = not self._enforcer.in_sync()
                mended = self._enforcer.repair() if repaired else 0
                changes = mended + self._change(held, wish)
        except DivergedError:
            repaired = True
            held, changes = self._put_in_place(wish)
        # Unknown until here: after a failure half way everything is put in place.
        self._held = held
        return Outcome(len(held), changes, repaired, wish.census.lapsed, self._fitted.evicted)

    def close(self, *, keep: bool) -> None:
        """Let go of the kernel; with `keep` what is enforced stays until its deadlines."""
        if self._opened:
            self._enforcer.close(keep=keep)
            self._opened = False

    def _guard(self, protected: Sequence[str], ports: Sequence[int], guard: PortGuard) -> None:
        guards = (tuple(protected), tuple(ports), guard)
        if guards != self._guards:
            self._guards = None
            self._enforcer.set_guards(*guards)
            self._guards = guards

    def _change(self, held: Holding[bool], wish: Wish) -> int:
        """Plan what changed; return how many entries that were."""
        held.expire(wish.now)
        change = self._parts(held, wish)
        if change is None:
            change = plan(self._whole(wish), held.view())
        if not change.is_empty:
            self._enforcer.apply(change)
        held.change(change)
        return len(change)

    def _parts(self, held: Holding[bool], wish: Wish) -> ChangeSet | None:
        """Plan the regions that changes reach; None where that does not do."""
        region = wish.census.region
        recent = wish.now - self._planned_whole < WHOLE_S
        # what did not fit, or became part of a range, is no matter of its own region alone
        if region is None or not recent or not self._fitted.whole or self._basis != _basis(wish):
            return None
        want = desired_of(wish.census.reached, wish.tiers, wish.protected, wish.now)
        have = held.within(region)
        change = plan(want, have)
        clients, networks = (a - b for a, b in zip(count(want), count(have), strict=True))
        if (
            held.counts[True] + clients > wish.room.clients
            or held.counts[False] + networks > wish.room.networks
        ):
            return None
        return change

    def _whole(self, wish: Wish) -> ActiveSet:
        """Return all that the kernel should hold."""
        everything = wish.census.everything()
        self._fitted = fit(everything, wish.tiers, wish.protected, wish.now, wish.room)
        self._planned_whole, self._basis = wish.now, _basis(wish)
        return self._fitted.wish

    def _put_in_place(self, wish: Wish) -> tuple[Holding[bool], int]:
        """Make the kernel hold all of it, whatever it holds now."""
        self._guards = None
        want = self._whole(wish)
        changes = self._enforcer.replace(want)
        self._guard(wish.protected, wish.ports, wish.guard)
        return Holding(want, _is_client), changes


def _basis(wish: Wish) -> tuple[tuple[Tier, ...], tuple[str, ...], Room]:
    return tuple(wish.tiers), tuple(wish.protected), wish.room


def _is_client(element: Element) -> bool:
    return is_client(element.span)
