"""`excise explain`: why a target is treated as it is, in plain words and numbers."""

from __future__ import annotations

from collections.abc import Iterator

import typer

from excise.api.target import parse_network
from excise.api.wire import DecisionView, ExplainedView
from excise.cli import decisions
from excise.cli.client import Client, decode, segment
from excise.cli.options import AsJson, ConfigFile, SocketFile, Target, connect
from excise.cli.text import count, json_text, moment, number, paint, printable, size, table
from excise.errors import NotFoundError
from excise.model.entity import Kind


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def explain(
        target: Target,
        as_json: AsJson = False,
        config: ConfigFile = None,
        socket: SocketFile = None,
    ) -> None:
        """Say why an address, subnet, account or campaign is treated as it is."""
        raw = fetch(connect(socket, config), target)
        print(json_text(raw) if as_json else describe(decode(raw, ExplainedView)))


def fetch(client: Client, target: str) -> bytes:
    """Return the explanation of a network, else of an account, else of a campaign."""
    if parse_network(target) is not None:
        return client.get(f"/v1/sources/{segment(target)}")
    try:
        return client.get(f"/v1/accounts/{segment(target)}")
    except NotFoundError as error:
        try:
            return client.get(f"/v1/campaigns/{segment(target)}")
        except NotFoundError:
            raise error from None


def describe(view: ExplainedView) -> str:
    """Return an explanation for a person."""
    return "\n\n".join(_sections(view))


def _sections(view: ExplainedView) -> Iterator[str]:
    inherited = f", {number(view.inherited)} of it inherited" if view.inherited else ""
    yield f"{printable(view.name)} ({view.kind}): score {number(view.score)}{inherited}"
    if view.sentences:
        yield "\n".join(map(printable, view.sentences))
    yield paint("EVIDENCE", "bold") + "\n" + _evidence(view)
    yield paint("DECISIONS", "bold") + "\n" + decisions.describe(view.decisions)
    taken = [line for d in view.decisions for line in _taken(d)]
    if taken:
        yield paint("TAKEN AWAY", "bold") + "\n" + "\n".join(taken)
    if view.kind == Kind.CLIENT:  # what else is enforced is judged by its clients
        share = number(round(100 * view.honest_share, 1))
        says = (
            f"{share} % of the traffic or of the accounts behind it are honest, whichever is more."
        )
        yield paint("COLLATERAL", "bold") + f"\n{says}"


def _taken(decision: DecisionView) -> Iterator[str]:
    if not decision.dropped:
        return
    for measure, c in decision.dropped.measures.items():
        yield f"{decision.target}: {measure} {count(c.packets, 'packet')}, {size(c.bytes)}"
    yield f"as read {moment(decision.dropped.counted_ts)}"


def _evidence(view: ExplainedView) -> str:
    if not view.evidence:
        return "none"
    rows = []
    for item in view.evidence:
        maturity = " (experimental)" if item.experimental else ""
        head = (item.rule + maturity, item.family, number(item.points), moment(item.fired_ts))
        for at, n in enumerate(item.numbers):
            lead = head if at == 0 else ("", "", "", "")
            rows.append((*lead, n.feature, number(n.value), number(n.threshold)))
        if not item.numbers:
            rows.append((*head, "", "", ""))
    heads = ("rule", "family", "points", "fired", "feature", "value", "threshold")
    return table(heads, rows, right="points value threshold")
