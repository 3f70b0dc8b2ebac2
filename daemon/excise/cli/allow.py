"""`excise allow`: networks that no decision may cover."""

from __future__ import annotations

from typing import Annotated

import typer

from excise.api.wire import AllowedView
from excise.cli.client import decode, segment
from excise.cli.options import AsJson, ConfigFile, SocketFile, check_duration, connect
from excise.cli.text import json_text, moment, table


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def allow(
        cidr: Annotated[
            str | None, typer.Argument(metavar="CIDR", help="Network to allow; none: list them.")
        ] = None,
        duration: Annotated[
            str | None,
            typer.Option("--for", metavar="D", help="How long.", callback=check_duration),
        ] = None,
        as_json: AsJson = False,
        config: ConfigFile = None,
        socket: SocketFile = None,
    ) -> None:
        """Allow a network, for good or --for a while; without CIDR list what is allowed."""
        client = connect(socket, config)
        if cidr is None:
            raw = client.get("/v1/allow")
        else:
            raw = client.send("PUT", f"/v1/allow/{segment(cidr)}", {"for": duration})
        print(json_text(raw) if as_json else describe(decode(raw, AllowedView)))


def describe(view: AllowedView) -> str:
    """Return the allowlist as a table for a person."""
    if not view.allow:
        return "nothing is allowed"
    rows = [
        (one.cidr, one.origin, "for good" if one.until is None else moment(one.until))
        for one in view.allow
    ]
    return table(("cidr", "origin", "until"), rows)
