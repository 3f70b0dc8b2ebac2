"""Handlers: the daemon itself. Status, rules, reload, posture, pushed records, health."""

from __future__ import annotations

from excise import __version__
from excise.api.ask import Ask, PostureAsk
from excise.api.control import Control
from excise.api.problem import ReloadRefusedError
from excise.api.wire import AliveView, PostureView, ReadyView, RulesView, StatusView
from excise.model.decision import Posture
from excise.model.step import SetPosture
from excise.model.view import ReloadView


async def get_status(control: Control, _: Ask) -> StatusView:
    """The daemon at a glance."""
    engine = control.engine.status()
    return StatusView(
        version=__version__,
        started_ts=control.started_ts,
        posture=engine.posture,
        effective_posture=engine.effective_posture,
        not_ready=tuple(control.not_ready()),
        rules_loaded=len(control.engine.rules()),
        engine=engine,
        enforcer=control.enforcer(),
        inputs=tuple(control.inputs()),
    )


async def list_rules(control: Control, _: Ask) -> RulesView:
    """The loaded rules with their hit counts."""
    return RulesView(tuple(control.engine.rules()))


async def reload(control: Control, _: Ask) -> ReloadView:
    """Read configuration and rules again. Raises ReloadRefusedError when nothing was changed."""
    view = await control.reload()
    if not view.applied:
        raise ReloadRefusedError(view)
    return view


async def get_posture(control: Control, _: Ask) -> PostureView:
    """The posture asked for and the one in force."""
    status = control.engine.status()
    return PostureView(status.posture, status.effective_posture, status.tripped)


async def put_posture(control: Control, ask: PostureAsk) -> PostureView:
    """Change the posture; this also rearms a tripped governor."""
    await control.submit(SetPosture(Posture(ask.posture)))
    return await get_posture(control, Ask())


async def get_alive(_: Control, __: Ask) -> AliveView:
    """Answer: the loop turns."""
    return AliveView(alive=True)


async def get_ready(control: Control, _: Ask) -> ReadyView:
    """Whether the daemon does its job now."""
    reasons = tuple(control.not_ready())
    return ReadyView(ready=not reasons, reasons=reasons)
