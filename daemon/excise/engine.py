"""The engine: batches in, effects out. Pure: no I/O, no clock; the same records give the same
decisions however they are cut into batches.
"""

from __future__ import annotations

from collections.abc import Iterable

from excise.model.decision import Decision, Posture
from excise.model.settings import Settings
from excise.model.step import Effect, Input
from excise.model.view import AllowView, EngineStatus, Explanation, RuleView, ScoredView
from excise.rules.schema import Rulebook


class Engine:
    """Owns all state of the core. Synchronous and single-owner: needs no locks."""

    def __init__(self, settings: Settings, rulebook: Rulebook) -> None:
        self.settings = settings
        self.rulebook = rulebook

    @property
    def clock(self) -> float:
        """Event time: epoch seconds of the newest record or tick, 0.0 before the first."""
        raise NotImplementedError

    @property
    def posture(self) -> Posture:
        """The posture asked for (a tripped governor may hold it at observe; see `status`)."""
        raise NotImplementedError

    def step(self, inputs: Iterable[Input], now: float | None = None) -> list[Effect]:
        """Take inputs in order; return what changed, in event order.

        `now` is the engine time a `Tick` stands for (event time, epoch seconds). Raises
        RefusedError, NotFoundError or InvalidError for an operator's input that cannot be done;
        nothing has then changed.
        """
        raise NotImplementedError

    def replace_rules(self, rulebook: Rulebook) -> None:
        """Swap the rules atomically; evidence of rules that remain is kept."""
        raise NotImplementedError

    def decisions(self) -> list[Decision]:
        """Return all active decisions, by plane and target."""
        raise NotImplementedError

    def adopt(self, decisions: Iterable[Decision], strikes: dict[tuple[str, str], int]) -> None:
        """Take over stored decisions after a restart (and earlier strikes by (plane, target))."""
        raise NotImplementedError

    def status(self) -> EngineStatus:
        """Return the core at a glance."""
        raise NotImplementedError

    def scored(self, kind: str | None = None, limit: int = 100) -> list[ScoredView]:
        """Return entities with evidence, highest score first."""
        raise NotImplementedError

    def explain(self, name: str) -> Explanation:
        """Explain an address, CIDR, account, stack or template. Raises NotFoundError."""
        raise NotImplementedError

    def allowed(self) -> list[AllowView]:
        """Return every network that no decision may cover, and why."""
        raise NotImplementedError

    def rules(self) -> list[RuleView]:
        """Return the loaded rules with their hit counts."""
        raise NotImplementedError

    def snapshot(self) -> bytes:
        """Return all learned state (not decisions) as bytes, for `restore`."""
        raise NotImplementedError

    def restore(self, blob: bytes) -> None:
        """Load what `snapshot` returned. Raises InvalidError for a blob of another version."""
        raise NotImplementedError
