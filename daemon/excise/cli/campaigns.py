"""`excise campaigns`: groups of accounts that are driven as one."""

from __future__ import annotations

import typer

from excise.api.wire import CampaignsView
from excise.cli.client import decode
from excise.cli.options import AsJson, ConfigFile, SocketFile, connect
from excise.cli.text import json_text, moment, number, table
from excise.model.view import CampaignSummary


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def campaigns(
        as_json: AsJson = False, config: ConfigFile = None, socket: SocketFile = None
    ) -> None:
        """List campaigns: groups of accounts that are driven as one."""
        raw = connect(socket, config).get("/v1/campaigns")
        print(json_text(raw) if as_json else describe(decode(raw, CampaignsView)))


def describe(view: CampaignsView) -> str:
    """Return campaigns as a table for a person."""
    if not view.campaigns:
        return "no campaigns"
    heads = ("id", "state", "score", "accounts", "output/24h", "output/30d", "last seen", "rules")
    rows = [
        (
            c.id,
            _state(c),
            number(c.score),
            number(c.members),
            number(c.ledger.output_tokens_24h),
            number(c.ledger.output_tokens_30d),
            moment(c.last_seen),
            " ".join(c.rules),
        )
        for c in view.campaigns
    ]
    return table(heads, rows, right="score accounts output/24h output/30d")


def _state(c: CampaignSummary) -> str:
    if c.enforced_ts is not None:
        return f"enforced since {moment(c.enforced_ts)}"
    return "watched, under trial" if c.trial and c.trial.state == "running" else "watched"
