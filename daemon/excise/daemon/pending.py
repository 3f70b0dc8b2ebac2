"""What a step left behind for the store, and how later steps add to what still waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from excise.daemon.stream import Numbered
from excise.model.decision import DecisionEvent
from excise.model.step import Effect
from excise.store.store import Batch, PostureChoice


@dataclass(frozen=True, slots=True)
class Entry:
    """One step's outcome. `cursors`, `allowed`, `disallowed` and `posture` as in `Batch`."""

    effects: Sequence[Effect] = ()
    cursors: Mapping[str, str] = field(default_factory=dict)
    allowed: Mapping[str, float | None] = field(default_factory=dict)
    disallowed: Sequence[str] = ()
    posture: PostureChoice | None = None

    @property
    def operators(self) -> bool:
        """Whether it holds what no log can bring back."""
        return bool(self.allowed or self.disallowed or self.posture)


@dataclass(slots=True)
class Pending:
    """Outcomes of consecutive steps, merged: the last word on each key counts."""

    numbered: list[Numbered] = field(default_factory=list)
    events: list[tuple[int, DecisionEvent]] = field(default_factory=list)
    cursors: dict[str, str] = field(default_factory=dict)
    allowed: dict[str, float | None] = field(default_factory=dict)
    disallowed: set[str] = field(default_factory=set)
    posture: PostureChoice | None = None
    durable: bool = False

    @property
    def empty(self) -> bool:
        """Whether there is nothing to store and nothing to publish."""
        return not (self.numbered or self.events or self.cursors or self.durable)

    def add(self, entry: Entry, numbered: Sequence[Numbered], *, durable: bool) -> None:
        """Add the outcome of the next step; `numbered` are its effects with their serials."""
        self.numbered.extend(numbered)
        self.events.extend((n, e) for n, e in numbered if isinstance(e, DecisionEvent))
        self.cursors.update(entry.cursors)
        self._choose(entry.allowed, entry.disallowed, entry.posture)
        self.durable |= durable

    def extend(self, later: Pending) -> None:
        """Add what came after."""
        self.numbered.extend(later.numbered)
        self.events.extend(later.events)
        self.cursors.update(later.cursors)
        self._choose(later.allowed, sorted(later.disallowed), later.posture)
        self.durable |= later.durable

    def shed(self, most: int) -> int:
        """Give up the oldest events past `most`; return how many."""
        excess = max(0, len(self.events) - most)
        del self.events[:excess]
        return excess

    def batch(self, clock: float, wall: float, serials: int) -> Batch:
        """Return it as one transaction."""
        return Batch(
            clock=clock,
            wall=wall,
            serials=serials,
            events=tuple(self.events),
            cursors=dict(self.cursors),
            allowed=dict(self.allowed),
            disallowed=sorted(self.disallowed),
            posture=self.posture,
            durable=self.durable,
        )

    def _choose(
        self,
        allowed: Mapping[str, float | None],
        disallowed: Sequence[str],
        posture: PostureChoice | None,
    ) -> None:
        for cidr in disallowed:
            self.allowed.pop(cidr, None)
        self.disallowed = (self.disallowed | set(disallowed)) - allowed.keys()
        self.allowed.update(allowed)
        self.posture = posture or self.posture
