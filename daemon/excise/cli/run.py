"""`excise run`: the daemon, in the foreground."""

from __future__ import annotations

from typing import Annotated

import typer

from excise.cli.options import ConfigFile

LiftAll = Annotated[
    bool,
    typer.Option(
        "--lift-all",
        help="Remove everything of excise from the kernel, end all enforcing decisions, and exit."
        " For when no daemon runs; while one does, use `excise posture observe`.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("run")(run)


def run(*, config: ConfigFile = None, lift_all: LiftAll = False) -> None:
    """Run the daemon until SIGTERM; SIGHUP reloads configuration and rules.

    Stopping leaves what is enforced in the kernel, where timeouts lift it; `excise run --lift-all`
    removes it at once.
    """
    if lift_all:
        from excise.daemon.lift import lift_everything

        print(lift_everything(config))
    else:
        from excise.app import run_daemon

        run_daemon(config)
