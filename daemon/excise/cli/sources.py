"""`excise sources`: what is scored, highest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import typer

from excise.api.wire import AccountsView, SourcesView
from excise.cli.client import decode
from excise.cli.options import AsJson, ConfigFile, SocketFile, connect
from excise.cli.text import json_text, moment, number, table
from excise.model.view import ScoredView


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def sources(
        *,
        kind: Annotated[
            Literal["client", "subnet", "account"] | None,
            typer.Option(help="Only these; without it clients and subnets."),
        ] = None,
        limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 20,
        as_json: AsJson = False,
        config: ConfigFile = None,
        socket: SocketFile = None,
    ) -> None:
        """List the addresses and subnets (or accounts) with evidence."""
        client = connect(socket, config)
        if kind == "account":
            raw = client.get("/v1/accounts", limit=limit)
            print(json_text(raw) if as_json else describe(decode(raw, AccountsView).accounts))
        else:
            raw = client.get("/v1/sources", kind=kind, limit=limit)
            print(json_text(raw) if as_json else describe(decode(raw, SourcesView).sources))


def describe(rows: Sequence[ScoredView]) -> str:
    """Return scored entities as a table for a person."""
    if not rows:
        return "nothing has evidence"
    return table(
        ("score", "kind", "name", "requests/24h", "tokens/24h", "last seen", "rules"),
        [
            (
                number(round(row.score, 2)),
                row.kind,
                row.name,
                number(round(row.requests_24h)),
                number(round(row.output_tokens_24h)),
                moment(row.last_seen),
                " ".join(row.rules),
            )
            for row in rows
        ],
        right="score requests/24h tokens/24h",
    )
