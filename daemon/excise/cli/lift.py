"""`excise lift`: the operator takes a decision back."""

from __future__ import annotations

import typer

from excise.api.target import parse_network
from excise.api.wire import LiftedView
from excise.cli.client import Client, decode, segment
from excise.cli.decisions import act
from excise.cli.options import AsJson, ConfigFile, SocketFile, Target, connect
from excise.cli.text import json_text, printable
from excise.errors import NotFoundError


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def lift(
        target: Target,
        as_json: AsJson = False,
        config: ConfigFile = None,
        socket: SocketFile = None,
    ) -> None:
        """Lift what is decided on a target (or one decision, by its id)."""
        raw = take_back(connect(socket, config), target)
        print(json_text(raw) if as_json else describe(decode(raw, LiftedView)))


def take_back(client: Client, target: str) -> bytes:
    """Lift by target; what is no network and no known account may be the id of a decision."""
    try:
        return client.send("DELETE", f"/v1/decisions?target={segment(target)}")
    except NotFoundError as error:
        if parse_network(target) is not None:
            raise
        try:
            return client.send("DELETE", f"/v1/decisions/{segment(target)}")
        except NotFoundError:
            raise error from None


def describe(view: LiftedView) -> str:
    """Return what was lifted, a line each."""
    return "\n".join(f"{printable(d.target)}: lifted {act(d)} ({d.id})" for d in view.lifted)
