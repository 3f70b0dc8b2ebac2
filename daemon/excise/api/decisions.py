"""Handlers: decisions and the allowlist. Each takes what was asked and returns what is answered."""

from __future__ import annotations

from collections.abc import Iterable

from excise.api.ask import (
    AllowAsk,
    Ask,
    CidrAsk,
    DecisionsAsk,
    IdAsk,
    LiftAsk,
    PlaceAsk,
    seconds_of,
)
from excise.api.control import Control
from excise.api.target import canonical_target, check_action, require_network
from excise.api.wire import AllowedView, DecisionsView, DecisionView, LiftedView, to_view
from excise.errors import ExciseError, InvalidError, NotFoundError
from excise.model.decision import Action, Decision, DecisionEvent, Op
from excise.model.duration import parse_duration
from excise.model.step import Allow, Disallow, Effect, Lift, Place


async def list_decisions(control: Control, ask: DecisionsAsk) -> DecisionsView:
    """Active decisions that pass every filter given."""
    target = canonical_target(ask.target) if ask.target is not None else None
    wanted = {
        "plane": ask.plane,
        "action": ask.action,
        "target": target,
        "campaign": ask.campaign,
    }
    active = (
        d
        for d in control.engine.decisions()
        if all(getattr(d, name) == value for name, value in wanted.items() if value is not None)
    )
    return DecisionsView(tuple(to_view(d, control.dropped) for d in active))


async def get_decision(control: Control, ask: IdAsk) -> DecisionView:
    """One active decision by its id."""
    for decision in control.engine.decisions():
        if decision.id == ask.id:
            return to_view(decision, control.dropped)
    raise NotFoundError(f"no active decision has the id {ask.id!r}")


async def place_decision(control: Control, ask: PlaceAsk) -> DecisionView:
    """Decide for the operator; answer when the kernel has acknowledged."""
    target, action = canonical_target(ask.target), Action(ask.action)
    if not target or not ask.reason.strip():
        raise InvalidError("an operator's decision needs a target and a reason")
    check_action(target, action)
    place = Place(
        target=target,
        action=action,
        tier=ask.tier,
        ttl_s=parse_duration(ask.duration),
        reason=ask.reason.strip(),
        force=ask.force,
    )
    effects = await control.submit(place)
    return to_view(_placed(target, effects, control.engine.decisions()))


def _placed(target: str, effects: Iterable[Effect], active: Iterable[Decision]) -> Decision:
    changed = [e.decision for e in effects if isinstance(e, DecisionEvent)]
    for decision in (*reversed(changed), *active):
        if decision.target == target:
            return decision
    raise ExciseError(f"no decision on {target} is in force; see the daemon's log")


async def lift_by_id(control: Control, ask: IdAsk) -> LiftedView:
    """Lift one decision."""
    return _lifted(await control.submit(Lift(id=ask.id)), ask.id)


async def lift_by_target(control: Control, ask: LiftAsk) -> LiftedView:
    """Lift every decision on a target."""
    target = canonical_target(ask.target)
    return _lifted(await control.submit(Lift(target=target)), target)


def _lifted(effects: Iterable[Effect], named: str) -> LiftedView:
    lifted = [e.decision for e in effects if isinstance(e, DecisionEvent) and e.op is Op.LIFT]
    if not lifted:
        raise NotFoundError(f"nothing is decided on {named!r}")
    return LiftedView(tuple(map(to_view, lifted)))


async def list_allowed(control: Control, _: Ask) -> AllowedView:
    """Every network that no decision may cover."""
    return AllowedView(tuple(control.engine.allowed()))


async def put_allowed(control: Control, ask: AllowAsk) -> AllowedView:
    """Allow a network; decisions that it covers are lifted."""
    await control.submit(Allow(require_network(ask.cidr), seconds_of(ask.duration)))
    return AllowedView(tuple(control.engine.allowed()))


async def delete_allowed(control: Control, ask: CidrAsk) -> AllowedView:
    """Take an allowed network back."""
    await control.submit(Disallow(require_network(ask.cidr)))
    return AllowedView(tuple(control.engine.allowed()))
