"""The ladder: observe, the throttle tiers from mild to strict, and at its top drop (or deny).

A rung is a number: 0 nothing, 1 observe, 2 the mildest tier, …, `top` drop. Pure arithmetic over
the policy; see docs/scoring.md for the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

from excise.model.decision import Action, Plane, Posture, Tier
from excise.model.settings import Policy

NOTHING, OBSERVE, MILDEST = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Ladder:
    """The rungs of a policy and its tiers, mildest first."""

    policy: Policy
    tiers: Sequence[Tier]

    @property
    def top(self) -> int:
        """The rung of drop and deny."""
        return MILDEST + len(self.tiers)

    def threshold(self, rung: int) -> float:
        """Score at which a rung begins."""
        p = self.policy
        if rung <= NOTHING:
            return 0.0
        if rung == OBSERVE:
            return p.observe
        step = (p.drop - p.throttle) / max(1, len(self.tiers))
        return p.drop if rung >= self.top else p.throttle + step * (rung - MILDEST)

    def rung(self, score: float, families: int) -> int:
        """Return the rung of a score that rests on so many independent families."""
        best = max(r for r in range(self.top + 1) if score >= self.threshold(r))
        if best == self.top and families < self.policy.drop_families:
            best -= 1
        return best

    def action(self, rung: int, plane: Plane, posture: Posture) -> tuple[Action, str | None]:
        """Return what a rung does under a posture: the action, and the tier of a throttle."""
        if rung <= OBSERVE or posture is Posture.OBSERVE:
            return Action.OBSERVE, None
        if rung >= self.top and (posture is Posture.ENFORCE or not self.tiers):
            return (Action.DROP if plane is Plane.NETWORK else Action.DENY), None
        return Action.THROTTLE, self.tiers[min(rung, self.top - 1) - MILDEST].name

    def rung_of(self, action: Action, tier: str | None) -> int:
        """Return the rung that an operator's action means; the strictest tier if none is named."""
        if action is Action.OBSERVE:
            return OBSERVE
        if action is Action.THROTTLE:
            names = [t.name for t in self.tiers]
            return MILDEST + (names.index(tier) if tier is not None else len(names) - 1)
        return self.top

    def ttl_s(self, rung: int, strikes: int) -> float:
        """Return how long a rung lasts; each earlier decision on the target doubles it."""
        p = self.policy
        base = p.ttl_observe_s if rung <= OBSERVE else p.ttl_throttle_s
        if rung >= self.top:
            base = p.ttl_drop_s
        return min(p.ttl_max_s, base * 2.0 ** min(strikes, 16)) if rung > OBSERVE else base

    def lasts_s(self, rung: int, strikes: int, target: str) -> float:
        """Return how long it lasts on a target: what was decided together must not end together.

        Thousands that come back in the same second are a flood. So each target's time is shorter
        by a part of its own, at most `policy.jitter`, the same on every host.
        """
        part = crc32(target.encode()) / 2**32 if rung > OBSERVE else 0.0
        return self.ttl_s(rung, strikes) * (1.0 - self.policy.jitter * part)
