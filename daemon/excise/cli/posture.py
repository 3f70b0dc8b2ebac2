"""`excise posture`: the most that may reach the kernel."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from excise.api.wire import PostureView
from excise.cli.client import decode
from excise.cli.options import AsJson, ConfigFile, SocketFile, connect
from excise.cli.text import json_text, printable


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def posture(
        wanted: Annotated[
            Literal["observe", "throttle", "enforce"] | None,
            typer.Argument(metavar="[observe|throttle|enforce]", help="None: show it."),
        ] = None,
        as_json: AsJson = False,
        config: ConfigFile = None,
        socket: SocketFile = None,
    ) -> None:
        """Show or change the posture; changing it also rearms a tripped governor."""
        client = connect(socket, config)
        if wanted is None:
            raw = client.get("/v1/posture")
        else:
            raw = client.send("PUT", "/v1/posture", {"posture": wanted})
        print(json_text(raw) if as_json else describe(decode(raw, PostureView)))


def describe(view: PostureView) -> str:
    """Return the posture as a line for a person."""
    if view.posture == view.effective_posture:
        return view.posture
    why = f": {printable(view.tripped)}" if view.tripped else ""
    return f"{view.posture}, held at {view.effective_posture}{why}"
