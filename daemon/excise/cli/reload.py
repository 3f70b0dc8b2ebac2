"""`excise reload`: configuration and rules are read again."""

from __future__ import annotations

import typer

from excise.cli.client import decode
from excise.cli.options import AsJson, ConfigFile, SocketFile, connect
from excise.cli.text import count, json_text
from excise.model.view import ReloadView


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def reload(
        as_json: AsJson = False, config: ConfigFile = None, socket: SocketFile = None
    ) -> None:
        """Read configuration and rules again; on any error the last good set stays."""
        raw = connect(socket, config).send("POST", "/v1/reload")
        print(json_text(raw) if as_json else describe(decode(raw, ReloadView)))


def describe(view: ReloadView) -> str:
    """Return what a reload did as a line for a person."""
    line = f"reloaded: {count(view.rules, 'rule')} in force"
    if view.restart:
        line += f"; a restart is needed for {', '.join(view.restart)}"
    return line
