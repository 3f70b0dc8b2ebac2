"""`excise decisions`: what is decided now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from excise.api.wire import DecisionsView, DecisionView
from excise.cli.client import decode
from excise.cli.options import AsJson, ConfigFile, SocketFile, connect
from excise.cli.text import json_text, moment, number, size, table


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def decisions(
        *,
        plane: Annotated[str | None, typer.Option(help="network or account.")] = None,
        action: Annotated[str | None, typer.Option(help="observe, throttle, drop, deny.")] = None,
        target: Annotated[str | None, typer.Option(help="Address, CIDR or account id.")] = None,
        campaign: Annotated[str | None, typer.Option(help="Campaign id.")] = None,
        as_json: AsJson = False,
        config: ConfigFile = None,
        socket: SocketFile = None,
    ) -> None:
        """List the active decisions."""
        raw = connect(socket, config).get(
            "/v1/decisions", plane=plane, action=action, target=target, campaign=campaign
        )
        print(json_text(raw) if as_json else describe(decode(raw, DecisionsView).decisions))


def describe(rows: Sequence[DecisionView]) -> str:
    """Return decisions as a table for a person."""
    if not rows:
        return "no decisions"
    return table(
        ("target", "action", "until", "score", "taken", "by", "id", "reason"),
        [
            (d.target, act(d), moment(d.until), number(d.score), taken(d), d.origin, d.id, d.reason)
            for d in rows
        ],
        right="score taken",
    )


def taken(decision: DecisionView) -> str:
    """Return the bytes that the kernel took away, `-` where it does not count them."""
    return size(decision.dropped.bytes) if decision.dropped else "-"


def act(decision: DecisionView) -> str:
    """Return `drop`, or `throttle crawl` with the tier."""
    return f"{decision.action} {decision.tier}" if decision.tier else decision.action
