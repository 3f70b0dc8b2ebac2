"""`excise drop`: the operator drops a network, or denies an account."""

from __future__ import annotations

import typer

from excise.api.target import parse_network
from excise.api.wire import DecisionView
from excise.cli.client import Client, decode
from excise.cli.decisions import act
from excise.cli.options import AsJson, ConfigFile, For, Force, Reason, SocketFile, Target, connect
from excise.cli.text import json_text, moment, printable


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def drop(
        target: Target,
        *,
        reason: Reason,
        duration: For = "1h",
        force: Force = False,
        as_json: AsJson = False,
        config: ConfigFile = None,
        socket: SocketFile = None,
    ) -> None:
        """Drop a network's traffic, or deny an account."""
        action = "drop" if parse_network(target) is not None else "deny"
        wish = {"action": action, "for": duration, "reason": reason, "force": force}
        print(place(connect(socket, config), target, wish, as_json=as_json))


def place(client: Client, target: str, wish: dict[str, object], *, as_json: bool) -> str:
    """Send an operator's decision; return what came of it, as text."""
    raw = client.send("POST", "/v1/decisions", {"target": target, **wish})
    if as_json:
        return json_text(raw)
    made = decode(raw, DecisionView)
    line = f"{printable(made.target)}: {act(made)} until {moment(made.until)} (decision {made.id})"
    if made.action != wish["action"]:
        line += f"; the posture lets no {wish['action']} through"
    return line
