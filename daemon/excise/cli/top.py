"""`excise top`: status and sources, refreshed; `q` or Ctrl-C ends."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer

from excise.api.wire import SourcesView, StatusView
from excise.cli import sources, status
from excise.cli.client import Client, decode
from excise.cli.options import AsJson, ConfigFile, SocketFile, connect
from excise.cli.text import json_text

ROWS = 200


class Frame(msgspec.Struct, frozen=True):
    """What one refresh shows."""

    status: StatusView
    sources: SourcesView


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def top(
        *,
        interval_s: Annotated[
            float, typer.Option("--interval", min=0.1, metavar="S", help="Seconds between looks.")
        ] = 2.0,
        looks: Annotated[
            int | None, typer.Option("--count", min=1, metavar="N", help="End after so many.")
        ] = None,
        as_json: AsJson = False,
        config: ConfigFile = None,
        socket: SocketFile = None,
    ) -> None:
        """Show status and the highest scores, refreshed; q ends. One frame if piped."""
        client = connect(socket, config)
        if as_json:
            _stream(client, interval_s, looks)
        elif sys.stdin.isatty() and sys.stdout.isatty():
            _live(client, interval_s, looks)
        else:
            print(describe(look(client)))


def look(client: Client) -> Frame:
    """Ask for all that a frame shows."""
    return Frame(
        decode(client.get("/v1/status"), StatusView),
        decode(client.get("/v1/sources", limit=ROWS), SourcesView),
    )


def describe(frame: Frame) -> str:
    """Return a frame as text."""
    return status.describe(frame.status) + "\n\n" + sources.describe(frame.sources.sources)


def _rounds(looks: int | None) -> Iterator[int]:
    return iter(range(looks)) if looks else itertools.count()


def _stream(client: Client, interval_s: float, looks: int | None) -> None:
    for at in _rounds(looks):
        if at:
            time.sleep(interval_s)
        sys.stdout.write(json_text(msgspec.json.encode(look(client))) + "\n")
        sys.stdout.flush()


def _live(client: Client, interval_s: float, looks: int | None) -> None:
    from rich.live import Live  # only the one verb that refreshes pays for it
    from rich.text import Text

    def screen() -> Text:
        return Text.from_ansi(describe(look(client)), no_wrap=True, overflow="ellipsis")

    with _keys(), Live(screen(), screen=True, auto_refresh=False) as live:
        for _ in _rounds(looks):
            live.update(screen(), refresh=True)
            if _quits_within(interval_s):
                return


@contextlib.contextmanager
def _keys() -> Iterator[None]:
    """Take keys as they are pressed; the terminal is as before afterwards."""
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin, termios.TCSANOW)  # what was typed ahead counts
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _quits_within(seconds: float) -> bool:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        ready, _, _ = select.select([sys.stdin], [], [], left)
        if ready and os.read(sys.stdin.fileno(), 1) in {b"q", b"Q", b""}:
            return True
    return False
