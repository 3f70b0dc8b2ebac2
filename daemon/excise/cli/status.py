"""`excise status`: the daemon at a glance."""

from __future__ import annotations

import typer

from excise.api.wire import StatusView
from excise.cli.client import decode
from excise.cli.options import AsJson, ConfigFile, SocketFile, connect
from excise.cli.text import count, json_text, moment, number, paint, printable
from excise.model.view import EnforcerView, EngineStatus, InputView


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def status(
        as_json: AsJson = False, config: ConfigFile = None, socket: SocketFile = None
    ) -> None:
        """Show posture, inputs, engine, enforcer and rules."""
        raw = connect(socket, config).get("/v1/status")
        print(json_text(raw) if as_json else describe(decode(raw, StatusView)))


def describe(view: StatusView) -> str:
    """Return the status as lines for a person."""
    lines = [
        f"excise {view.version}, up since {moment(view.started_ts)}",
        f"posture    {_posture(view)}",
        f"ready      {_ready(view)}",
        f"engine     {_engine(view.engine)}",
        f"decisions  {_decisions(view.engine)}",
        f"enforcer   {_enforcer(view.enforcer)}",
        f"campaigns  {_campaigns(view.engine)}",
        *(f"blind      {line}" for line in _blind(view.engine)),
        f"rules      {view.rules_loaded:,} loaded",
        *(f"input      {_input(one)}" for one in view.inputs),
    ]
    return "\n".join(lines if view.inputs else [*lines, "input      none"])


def _posture(view: StatusView) -> str:
    if view.posture == view.effective_posture:
        return view.posture
    why = f" ({printable(view.engine.tripped)})" if view.engine.tripped else ""
    return f"{view.posture}, held at {paint(view.effective_posture, 'yellow')}{why}"


def _ready(view: StatusView) -> str:
    if not view.not_ready:
        return paint("yes", "green")
    return paint("no", "red") + ": " + "; ".join(map(printable, view.not_ready))


def _engine(engine: EngineStatus) -> str:
    return (
        f"{count(engine.records, 'record')}, {engine.late:,} late, event time "
        f"{moment(engine.clock)}, {engine.entities_with_evidence:,} with evidence"
    )


def _decisions(engine: EngineStatus) -> str:
    return f"{engine.active_decisions:,} active, {engine.enforcing_decisions:,} enforcing"


def _campaigns(engine: EngineStatus) -> str:
    watched = engine.campaigns - engine.enforced_campaigns
    members = count(engine.members, "account")
    return f"{engine.enforced_campaigns:,} enforced with {members}, {watched:,} watched"


def _blind(engine: EngineStatus) -> list[str]:
    """Say what cannot be seen for want of a field."""
    return [
        f"{paint(s.field, 'yellow')} is hardly ever logged: no {s.needed_for}"
        for s in engine.signals
        if s.blind
    ]


def _enforcer(view: EnforcerView) -> str:
    sync = "in sync" if view.in_sync else paint("not in sync", "red")
    counts = ", ".join(
        [
            count(view.entries, "entry", "entries"),
            count(view.changes, "change"),
            count(view.repairs, "repair"),
            count(view.failures, "failure"),
        ]
    )
    return f"{view.backend}, {sync}: {counts}" + _problem(view.problem)


def _input(view: InputView) -> str:
    rejects = sum(view.rejects.values())
    reasons = ", ".join(f"{reason} {number(n)}" for reason, n in sorted(view.rejects.items()))
    return (
        f"{printable(view.name)} ({view.format}): {view.state}, "
        f"{count(view.lag_bytes, 'byte')} behind, {count(view.records, 'record')}, "
        f"{count(rejects, 'reject')}"
        + (f" ({printable(reasons)})" if reasons else "")
        + f", last line {moment(view.last_line_ts)}"
        + _problem(view.problem)
    )


def _problem(text: str) -> str:
    return f" {paint('!', 'red')} {printable(text)}" if text else ""
