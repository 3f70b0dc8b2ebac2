"""`excise campaigns`: campaigns with their members; this version links none."""

from __future__ import annotations

import typer

from excise.api.wire import CampaignsView
from excise.cli.client import decode
from excise.cli.options import AsJson, ConfigFile, SocketFile, connect
from excise.cli.text import json_text, table


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def campaigns(
        as_json: AsJson = False, config: ConfigFile = None, socket: SocketFile = None
    ) -> None:
        """List the campaigns (this version links none)."""
        raw = connect(socket, config).get("/v1/campaigns")
        print(json_text(raw) if as_json else describe(decode(raw, CampaignsView)))


def describe(view: CampaignsView) -> str:
    """Return campaigns as a table for a person."""
    if not view.campaigns:
        return "no campaigns; this version links none"
    return table(("id", "members"), [(c.id, " ".join(c.members)) for c in view.campaigns])
