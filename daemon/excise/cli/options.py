"""Options that many verbs share, and the way from them to a client."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from excise.cli.client import Client
from excise.cli.text import printable
from excise.errors import ConfigError, InvalidError
from excise.model.duration import parse_duration

DEFAULT_CONFIG = Path("/etc/excise/excise.yaml")
DEFAULT_SOCKET = Path("/run/excise/control.sock")


def check_duration(text: str | None) -> str | None:
    """Return a duration as written. Raises typer.BadParameter: a usage error."""
    if text is None:
        return None
    try:
        parse_duration(text)
    except InvalidError as error:
        raise typer.BadParameter(str(error)) from error
    return text


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, stable for programs.")]
# readable=False: whether a path can be used is ours to say, with the exit status it has
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Configuration file.", readable=False),
]
SocketFile = Annotated[
    Path | None,
    typer.Option("--socket", metavar="PATH", help="Control socket of the daemon.", readable=False),
]
Target = Annotated[str, typer.Argument(metavar="TARGET", help="Address, CIDR or account id.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")]
Force = Annotated[bool, typer.Option("--force", help="Even where it covers a protected address.")]
For = Annotated[
    str,
    typer.Option("--for", metavar="D", help="How long: 90s, 1h, 2d.", callback=check_duration),
]


def connect(socket: Path | None, config: Path | None) -> Client:
    """Return the client of the daemon that the options name."""
    return Client(socket or find_socket(config))


def find_socket(config: Path | None) -> Path:
    """Return the socket that the configuration names.

    A named file that is invalid raises ConfigError. The default file may be missing, and if it
    is broken the default socket is taken, with a word: the daemon still runs what it last had.
    """
    if config is None and not DEFAULT_CONFIG.exists():
        return DEFAULT_SOCKET
    from excise.config import load  # PyYAML and the formats: only where a file is read

    try:
        return load(config).api.socket
    except ConfigError as error:
        if config is not None:
            raise
        print(printable(f"excise: {error}; asking {DEFAULT_SOCKET}"), file=sys.stderr)
        return DEFAULT_SOCKET
