"""What goes into `Engine.step` and what comes out: the only ways in and out of the core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from excise.model.decision import Action, DecisionEvent, Posture
from excise.model.entity import Entity
from excise.model.record import Record


@dataclass(frozen=True, slots=True)
class Observed:
    """Records in the order in which they were logged."""

    records: Sequence[Record]


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed without a record. `now` of the step carries it."""


@dataclass(frozen=True, slots=True)
class Place:
    """The operator drops, throttles or denies a target (address, CIDR, or account id)."""

    target: str
    action: Action
    tier: str | None
    ttl_s: float
    reason: str
    force: bool = False


@dataclass(frozen=True, slots=True)
class Lift:
    """The operator lifts a decision, by target or by id."""

    target: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Allow:
    """The operator allows a network, for `ttl_s` seconds or for good."""

    cidr: str
    ttl_s: float | None = None


@dataclass(frozen=True, slots=True)
class Disallow:
    """The operator takes an allowed network back."""

    cidr: str


@dataclass(frozen=True, slots=True)
class Protect:
    """The shell found addresses that no decision may cover (own, gateway, SSH peers, …)."""

    cidrs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetPosture:
    """The operator changes the posture; this also rearms a tripped governor."""

    posture: Posture


Input = Observed | Tick | Place | Lift | Allow | Disallow | Protect | SetPosture


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something a person must look at. `code` is stable: `governor-tripped`, `peers-doubted`."""

    ts: float
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule fired for an entity. `numbers` are (feature, value, threshold) as compared."""

    ts: float
    rule: str
    entity: Entity
    weight: float
    numbers: tuple[tuple[str, float, float], ...]


Effect = DecisionEvent | Finding | Alarm
