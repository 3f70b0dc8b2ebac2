"""`excise events`: decisions, findings and alarms as they happen."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from excise.cli.client import Event
from excise.cli.options import AsJson, ConfigFile, SocketFile, connect
from excise.cli.text import ACTION_COLOURS, json_text, moment, number, paint, printable


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def events(
        *,
        follow: Annotated[
            bool, typer.Option(help="Go on as things happen, or end after what was kept.")
        ] = True,
        findings: Annotated[
            bool, typer.Option("--findings", help="Also the findings of rules.")
        ] = False,
        alarms: Annotated[bool, typer.Option("--alarms", help="With --json: also alarms.")] = False,
        after: Annotated[
            int | None,
            typer.Option(min=0, metavar="SERIAL", help="First what was kept since; 0: all."),
        ] = None,
        as_json: AsJson = False,
        config: ConfigFile = None,
        socket: SocketFile = None,
    ) -> None:
        """Show decisions as they happen; with --json the decision stream, one object a line."""
        names = ["decision"]
        names += ["finding"] if findings else []
        names += ["alarm"] if alarms or not as_json else []
        client = connect(socket, config)
        for event in client.events(after=after, only=",".join(names), follow=follow):
            print(json_text(event.data.encode()) if as_json else describe(event))
            sys.stdout.flush()


def describe(event: Event) -> str:
    """Return an event as a line for a person."""
    data: dict[str, Any] = json.loads(event.data)
    head = moment(data["ts"])
    match event.name:
        case "decision":
            return f"{head} {_decision(data)}"
        case "finding":
            numbers = ", ".join(
                f"{n['feature']} {number(n['value'])} against {number(n['threshold'])}"
                for n in data["numbers"]
            )
            about = printable(f"{data['rule']} {data['kind']} {data['name']}")
            return f"{head} finding {about}: {numbers}"
        case _:
            alarm = printable(f"{data['code']}: {data['text']}")
            return f"{head} {paint('alarm', 'red')} {alarm}"


def _decision(data: dict[str, Any]) -> str:
    action = data["action"] + (f" {data['tier']}" if "tier" in data else "")
    painted = paint(action, ACTION_COLOURS.get(data["action"], "bold"))
    target, reason = printable(data["target"]), printable(data["reason"])
    return f"{data['op']} {painted} {target} until {moment(data['until'])}: {reason}"
