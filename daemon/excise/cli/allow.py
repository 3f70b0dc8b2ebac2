"""`excise allow`: networks that no decision may cover."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

import typer

from excise.api.target import require_network
from excise.api.wire import AllowedView, DecisionsView
from excise.cli.client import decode, segment
from excise.cli.decisions import act
from excise.cli.options import AsJson, ConfigFile, SocketFile, check_duration, connect
from excise.cli.text import json_text, moment, printable, table


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def allow(
        cidr: Annotated[
            str | None, typer.Argument(metavar="CIDR", help="Network to allow; none: list them.")
        ] = None,
        duration: Annotated[
            str | None,
            typer.Option("--for", metavar="D", help="How long.", callback=check_duration),
        ] = None,
        as_json: AsJson = False,
        config: ConfigFile = None,
        socket: SocketFile = None,
    ) -> None:
        """Allow a network, for good or --for a while; without CIDR list what is allowed."""
        client = connect(socket, config)
        if cidr is None:
            raw = client.get("/v1/allow")
        else:
            raw = client.send("PUT", f"/v1/allow/{segment(cidr)}", {"for": duration})
        print(json_text(raw) if as_json else describe(decode(raw, AllowedView)))
        if cidr is not None:
            for note in waiting(cidr, decode(client.get("/v1/decisions"), DecisionsView)):
                print(printable(f"excise: {note}"), file=sys.stderr)


def waiting(cidr: str, view: DecisionsView) -> Iterator[str]:
    """Say which decisions of operators an allowed network holds back, and how to end them.

    Those of rules are lifted with it; these bite again when it is allowed no more.
    """
    allowed = ip_network(require_network(cidr))
    for one in view.decisions:
        if one.origin != "operator" or one.plane != "network" or one.forced:
            continue
        if one.action != "observe" and _overlap(allowed, ip_network(one.target)):
            yield (
                f"{one.target} is under {act(one)} by an operator's decision, which bites again "
                f"where it is allowed no more; to end it: excise lift {one.target}"
            )


def _overlap(a: IPv4Network | IPv6Network, b: IPv4Network | IPv6Network) -> bool:
    if isinstance(a, IPv4Network):
        return isinstance(b, IPv4Network) and a.overlaps(b)
    return isinstance(b, IPv6Network) and a.overlaps(b)


def describe(view: AllowedView) -> str:
    """Return the allowlist as a table for a person."""
    if not view.allow:
        return "nothing is allowed"
    rows = [
        (one.cidr, one.origin, "for good" if one.until is None else moment(one.until))
        for one in view.allow
    ]
    return table(("cidr", "origin", "until"), rows)
