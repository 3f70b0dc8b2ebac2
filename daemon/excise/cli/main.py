"""The command `excise`: verbs, and errors as exit statuses.

0 done, 1 failed, 2 usage, 3 daemon unreachable, 4 refused, 5 configuration or rule invalid.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Annotated

import typer

from excise import __version__
from excise.cli.text import printable
from excise.errors import ExciseError

#: each a module of this package with `register(app)`, in the order in which help shows them
VERBS = (
    "init",
    "run",
    "check",
    "replay",
    "simulate",
    "status",
    "top",
    "events",
    "decisions",
    "verdicts",
    "sources",
    "campaigns",
    "explain",
    "drop",
    "throttle",
    "lift",
    "allow",
    "disallow",
    "reload",
    "posture",
    "doctor",
)


def build_app(verbs: Iterable[str] = VERBS) -> typer.Typer:
    """Return the command with these verbs."""
    app = typer.Typer(
        name="excise",
        help="Find and stop the harvesting of a language model, in the kernel.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_common)
    for verb in verbs:
        import_module(f"excise.cli.{verb}").register(app)
    return app


def _needed(arguments: list[str]) -> Iterable[str]:
    """Return the one verb that is called for, so that a short question starts fast; else all."""
    return arguments[:1] if arguments[:1] and arguments[0] in VERBS else VERBS


def _show_version(wanted: bool) -> None:  # typer calls it with the value
    if wanted:
        print(f"excise {__version__}")
        raise typer.Exit


def _common(
    version: Annotated[  # the callback acts
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line and end the process."""
    try:
        build_app(_needed(sys.argv[1:]))()
    except ExciseError as error:
        print("excise: " + "\n".join(map(printable, str(error).splitlines())), file=sys.stderr)
        sys.exit(error.exit_status)
