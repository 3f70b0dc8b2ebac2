"""`excise throttle`: the operator slows a target down."""

from __future__ import annotations

from typing import Annotated

import typer

from excise.cli.drop import place
from excise.cli.options import AsJson, ConfigFile, For, Force, Reason, SocketFile, Target, connect


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def throttle(
        target: Target,
        *,
        reason: Reason,
        duration: For = "1h",
        tier: Annotated[
            str | None, typer.Option(metavar="T", help="Tier of the ladder; the strictest if none.")
        ] = None,
        force: Force = False,
        as_json: AsJson = False,
        config: ConfigFile = None,
        socket: SocketFile = None,
    ) -> None:
        """Throttle a network's traffic, or an account."""
        wish: dict[str, object] = {
            "action": "throttle",
            "for": duration,
            "tier": tier,
            "reason": reason,
            "force": force,
        }
        print(place(connect(socket, config), target, wish, as_json=as_json))
