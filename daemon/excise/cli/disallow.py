"""`excise disallow`: takes an allowed network back."""

from __future__ import annotations

from typing import Annotated

import typer

from excise.api.wire import AllowedView
from excise.cli.allow import describe
from excise.cli.client import decode, segment
from excise.cli.options import AsJson, ConfigFile, SocketFile, connect
from excise.cli.text import json_text


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def disallow(
        cidr: Annotated[str, typer.Argument(metavar="CIDR", help="Network allowed before.")],
        as_json: AsJson = False,
        config: ConfigFile = None,
        socket: SocketFile = None,
    ) -> None:
        """Take an allowed network back."""
        raw = connect(socket, config).send("DELETE", f"/v1/allow/{segment(cidr)}")
        print(json_text(raw) if as_json else describe(decode(raw, AllowedView)))
