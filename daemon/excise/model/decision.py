"""Decisions and the stream of their changes (contract 2)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Plane(StrEnum):
    """Where a decision acts: in the kernel, or as a verdict that the gateway asks for."""

    NETWORK = "network"
    ACCOUNT = "account"


class Action(StrEnum):
    """What happens to the target."""

    OBSERVE = "observe"
    THROTTLE = "throttle"
    DROP = "drop"
    DENY = "deny"


class Op(StrEnum):
    """How a decision changed."""

    ADD = "add"
    RENEW = "renew"
    ESCALATE = "escalate"
    LIFT = "lift"
    EXPIRE = "expire"


class Posture(StrEnum):
    """The most that may reach the kernel or a gateway."""

    OBSERVE = "observe"
    THROTTLE = "throttle"
    ENFORCE = "enforce"


class Origin(StrEnum):
    """Who decided; a trial slows accounts to see what others do, whatever speaks against them."""

    RULES = "rules"
    OPERATOR = "operator"
    TRIAL = "trial"


@dataclass(frozen=True, slots=True)
class Tier:
    """A rung of the throttle ladder. Bytes per second; one bucket per target; None: no limit."""

    name: str
    egress_bytes_s: int | None = None
    ingress_bytes_s: int | None = None
    new_connections_per_min: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """One target under one action until `until` (epoch seconds, event time).

    `action` and `tier` are what the posture lets through; `wanted` is the rung that the
    score asks for (an index into the ladder, see `decide.policy`). `strikes` counts earlier
    decisions on the same target, for escalation of repeat offenders. `forced`: the operator wants
    it also where the target is protected or allowed.
    """

    id: str
    plane: Plane
    target: str
    action: Action
    tier: str | None
    since: float
    until: float
    score: float
    rules: tuple[str, ...]
    reason: str
    campaign: str | None = None
    origin: Origin = Origin.RULES
    wanted: int = 0
    strikes: int = 0
    forced: bool = False

    @property
    def enforcing(self) -> bool:
        """Whether it does anything to traffic."""
        return self.action is not Action.OBSERVE


@dataclass(frozen=True, slots=True)
class DecisionEvent:
    """One line of the decision stream: at `ts` (event time) `decision` changed by `op`."""

    ts: float
    op: Op
    decision: Decision

    def to_wire(self) -> dict[str, Any]:
        """Return the object of contract 2; keys that do not apply are absent."""
        d = self.decision
        wire: dict[str, Any] = {
            "ts": round(self.ts, 3),
            "op": self.op.value,
            "id": d.id,
            "plane": d.plane.value,
            "target": d.target,
            "action": d.action.value,
        }
        if d.tier is not None:
            wire["tier"] = d.tier
        wire |= {"until": round(d.until, 3), "score": round(d.score, 2), "rules": list(d.rules)}
        if d.campaign is not None:
            wire["campaign"] = d.campaign
        return wire | {"reason": d.reason}
