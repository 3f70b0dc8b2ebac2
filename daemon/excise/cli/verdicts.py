"""`excise verdicts`: tell a gateway which accounts to deny, and which to throttle."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated, Literal

import typer

from excise.api.wire import DecisionsView
from excise.cli.client import Client, decode
from excise.cli.options import ConfigFile, SocketFile, connect
from excise.cli.text import printable
from excise.errors import ExciseError
from excise.gateways.haproxy import HaproxyBoard
from excise.gateways.verdicts import (
    DENIED,
    MILD_MIN,
    STRICT_MIN,
    THROTTLED,
    Board,
    DirectoryBoard,
    Publisher,
    Term,
)

DEFAULT_MAP = "/etc/haproxy/excise/denied.map"
DEFAULT_THROTTLED_MAP = "/etc/haproxy/excise/throttled.map"
#: the rung of the mildest tier, as the API numbers them; the ladder itself would load NumPy
MILDEST_RUNG = 2
Action = Literal["throttle", "deny"]


@dataclass(frozen=True, slots=True)
class Told:
    """Who is told, by what excise does to accounts, and how many minutes come to a turn.

    Throttles come first: who comes to be denied between two questions is on both lists, and
    denials go before throttles.
    """

    publishers: Mapping[Action, Publisher]
    mild: int
    strict: int


class _Stop(BaseException):
    """The service manager wants us to end."""


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def verdicts(
        *,
        directory: Annotated[
            Path | None,
            typer.Option(metavar="DIR", help="For nginx: a file per account goes here."),
        ] = None,
        haproxy: Annotated[
            Path | None,
            typer.Option(metavar="SOCKET", help="For HAProxy: its runtime socket, level admin."),
        ] = None,
        haproxy_map: Annotated[
            str,
            typer.Option("--map", metavar="FILE", help="Denied accounts, as HAProxy's file names."),
        ] = DEFAULT_MAP,
        throttled_map: Annotated[
            str, typer.Option(metavar="FILE", help="The same of throttled accounts.")
        ] = DEFAULT_THROTTLED_MAP,
        mild: Annotated[
            int,
            typer.Option(
                min=1, metavar="N", help="By the mildest tier one minute out of N is served."
            ),
        ] = MILD_MIN,
        strict: Annotated[
            int, typer.Option(min=1, metavar="N", help="The same by stricter tiers.")
        ] = STRICT_MIN,
        every: Annotated[
            float, typer.Option(min=0.1, max=10.0, metavar="S", help="Seconds between looks.")
        ] = 2.0,
        config: ConfigFile = None,
        socket: SocketFile = None,
    ) -> None:
        """Keep a gateway told of accounts to deny and to throttle, until stopped; then of none."""
        publishers = _publishers(directory, haproxy, (haproxy_map, throttled_map))
        _keep(connect(socket, config), Told(publishers, mild, strict), every)


def _publishers(
    directory: Path | None, haproxy: Path | None, maps: tuple[str, str]
) -> Mapping[Action, Publisher]:
    """Return who tells which gateways; `maps` are HAProxy's, of denials and of throttles."""
    deny: list[Board] = []
    slow: list[Board] = []
    if directory is not None:
        deny.append(DirectoryBoard(directory, DENIED))
        slow.append(DirectoryBoard(directory, THROTTLED))
    if haproxy is not None:
        deny.append(HaproxyBoard(haproxy, maps[0]))
        # A configuration that only denies has no such map.
        slow.append(HaproxyBoard(haproxy, maps[1], required=False))
    if not deny:
        raise typer.BadParameter("name --directory, --haproxy, or both")
    return {"throttle": Publisher(slow, time.time), "deny": Publisher(deny, time.time)}


def _keep(client: Client, told: Told, every: float) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    said = ""
    try:
        while True:
            said = _round(client, told, said)
            time.sleep(every)
    except _Stop:
        _clear(told)


def _stop(_: int, __: FrameType | None) -> None:
    raise _Stop


def _clear(told: Told) -> None:
    """Meet nobody any more, as far as gateways can be told. Raises the last error."""
    failed: ExciseError | None = None
    for publisher in told.publishers.values():
        try:
            publisher.clear()
        except ExciseError as error:
            failed = error
    if failed is not None:
        raise failed


def _round(client: Client, told: Told, said: str) -> str:
    """Look and publish once; return what was said about it, to say the same thing once only."""
    notes: list[str] = []
    unknown = 0
    for action, publisher in told.publishers.items():
        try:
            unknown += publisher.publish(_wanted(client, action, told))
        except ExciseError as error:  # what was shown lapses by itself
            notes.append(str(error))
    if unknown:
        notes.append(f"accounts that no gateway can look up: {unknown}")
    note = "; ".join(dict.fromkeys(notes))
    if note and note != said:
        print(f"excise: {printable(note)}", file=sys.stderr, flush=True)
    return note


def _wanted(client: Client, action: Action, told: Told) -> dict[str, Term]:
    """Return the accounts to which the daemon does this, until when, and how."""
    raw = client.get("/v1/decisions", plane="account", action=action)
    found = decode(raw, DecisionsView).decisions
    if action == "deny":
        return {d.target: Term(d.until) for d in found}
    return {
        d.target: Term(d.until, told.mild if d.wanted <= MILDEST_RUNG else told.strict)
        for d in found
    }
