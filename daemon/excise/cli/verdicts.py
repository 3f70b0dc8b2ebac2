"""`excise verdicts`: tell a gateway which accounts to deny."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from excise.api.wire import DecisionsView
from excise.cli.client import Client, decode
from excise.cli.options import ConfigFile, SocketFile, connect
from excise.cli.text import printable
from excise.errors import ExciseError

if TYPE_CHECKING:
    from excise.gateways.verdicts import Publisher

DEFAULT_MAP = "/etc/haproxy/excise/denied.map"


class _Stop(BaseException):
    """The service manager wants us to end."""


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def verdicts(
        *,
        directory: Annotated[
            Path | None,
            typer.Option(metavar="DIR", help="For nginx: a file per denied account goes here."),
        ] = None,
        haproxy: Annotated[
            Path | None,
            typer.Option(metavar="SOCKET", help="For HAProxy: its runtime socket, level admin."),
        ] = None,
        haproxy_map: Annotated[
            str, typer.Option("--map", metavar="FILE", help="The map as HAProxy's file names it.")
        ] = DEFAULT_MAP,
        every: Annotated[
            float, typer.Option(min=0.1, max=10.0, metavar="S", help="Seconds between looks.")
        ] = 2.0,
        config: ConfigFile = None,
        socket: SocketFile = None,
    ) -> None:
        """Keep a gateway told of the accounts to deny, until stopped; then deny nobody."""
        from excise.gateways.haproxy import HaproxyBoard
        from excise.gateways.verdicts import Board, DirectoryBoard, Publisher

        boards: list[Board] = []
        if directory is not None:
            boards.append(DirectoryBoard(directory))
        if haproxy is not None:
            boards.append(HaproxyBoard(haproxy, haproxy_map))
        if not boards:
            raise typer.BadParameter("name --directory, --haproxy, or both")
        _keep(connect(socket, config), Publisher(boards, time.time), every)


def _keep(client: Client, publisher: Publisher, every: float) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    said = ""
    try:
        while True:
            said = _round(client, publisher, said)
            time.sleep(every)
    except _Stop:
        publisher.clear()


def _stop(_: int, __: FrameType | None) -> None:
    raise _Stop


def _round(client: Client, publisher: Publisher, said: str) -> str:
    """Look and publish once; return what was said about it, to say the same thing once only."""
    try:
        raw = client.get("/v1/decisions", plane="account", action="deny")
        denied = {d.target: d.until for d in decode(raw, DecisionsView).decisions}
        unknown = publisher.publish(denied)
        note = f"accounts that no gateway can look up: {unknown}" if unknown else ""
    except ExciseError as error:  # what was shown lapses by itself
        note = str(error)
    if note and note != said:
        print(f"excise: {printable(note)}", file=sys.stderr, flush=True)
    return note
