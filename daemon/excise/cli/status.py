"""`excise status`: the daemon at a glance."""

from __future__ import annotations

from collections.abc import Iterator

import typer

from excise.api.wire import StatusView
from excise.cli.client import decode
from excise.cli.options import AsJson, ConfigFile, SocketFile, connect
from excise.cli.text import count, json_text, moment, number, paint, printable, size
from excise.model.duration import format_duration
from excise.model.view import AuditView, CountView, EnforcerView, EngineStatus, InputView


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
        *_doubt(view.engine),
        f"engine     {_engine(view.engine)}",
        f"decisions  {_decisions(view.engine)}",
        f"enforcer   {_enforcer(view.enforcer)}",
        *(f"taken      {line}" for line in _taken(view.enforcer)),
        *(f"others     {line}" for line in _others(view.enforcer.audit)),
        f"campaigns  {_campaigns(view.engine)}",
        f"trials     {_trials(view.engine)}",
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


def _doubt(engine: EngineStatus) -> list[str]:
    """Return a line where no network is enforced, since clients seem to be proxies."""
    if not engine.peers_doubted:
        return []
    why = printable(engine.peers_doubted)
    return [f"peers      {paint('doubted', 'red')}, no network is enforced: {why}"]


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


def _trials(engine: EngineStatus) -> str:
    if not engine.trials.enabled:
        return "off"
    accounts = count(engine.trials.accounts, "account")
    return f"on, {count(engine.trials.running, 'campaign')} under trial with {accounts} slowed"


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
            *([f"{view.evicted:,} without room"] if view.evicted else []),
        ]
    )
    return f"{view.backend}, {sync}: {counts}" + _problem(view.problem)


def _taken(view: EnforcerView) -> Iterator[str]:
    """Yield what the kernel took away: by drops, and by throttles with the part of each tier."""
    if view.counted_ts is None:
        return
    drops = view.dropped.get("drop")
    yield f"by drops {_counts(drops)}" if drops else "by drops nothing"
    throttles = {m: c for m, c in view.dropped.items() if m != "drop" and c.packets}
    yield "by throttles " + (
        "; ".join(f"{m} {_counts(c)}" for m, c in throttles.items()) or "nothing"
    )
    for tier, measures in sorted(view.throttled.items()):
        said = "; ".join(f"{m} {_counts(c)}" for m, c in measures.items() if c.packets)
        if said:
            yield f"of it {printable(tier)}: {said}"


def _others(audit: AuditView) -> Iterator[str]:
    """Yield who else changed the kernel's tables, and why that cannot be known."""
    if audit.last:
        when, who = moment(audit.last_ts), printable(audit.last)
        yield f"{count(audit.foreign, 'change')}, last {when} {who}"
    if audit.state not in {"listening", "off"}:
        yield f"{paint('!', 'yellow')} {printable(audit.state)}"
    elif audit.lost:
        yield f"{paint('!', 'yellow')} not heard {count(audit.lost, 'time')}"


def _counts(count_view: CountView) -> str:
    return f"{count(count_view.packets, 'packet')}, {size(count_view.bytes)}"


def _input(view: InputView) -> str:
    rejects = sum(view.rejects.values())
    reasons = ", ".join(f"{reason} {number(n)}" for reason, n in sorted(view.rejects.items()))
    lost = ", ".join(f"{kind} {number(n)}" for kind, n in sorted(view.losses.items()))
    late = f" and {format_duration(view.lag_s)}" if view.lag_s >= 1 else ""
    return (
        f"{printable(view.name)} ({view.format}): {view.state}, "
        f"{count(view.lag_bytes, 'byte')}{late} behind, {count(view.records, 'record')}, "
        f"{count(rejects, 'reject')}"
        + (f" ({printable(reasons)})" if reasons else "")
        + (f", {paint('lost', 'red')} {printable(lost)}" if lost else "")
        + f", last line {moment(view.last_line_ts)}"
        + (f", heard {moment(view.last_heard_ts)}" if view.last_heard_ts else "")
        + (f", {printable(view.note)}" if view.note else "")
        + _problem(view.problem)
    )


def _problem(text: str) -> str:
    return f" {paint('!', 'red')} {printable(text)}" if text else ""
