"""`excise simulate`: a made-up log with its truth, and the judge of decisions on it."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from excise.cli.options import AsJson
from excise.cli.text import json_text, number, printable, table
from excise.errors import ExciseError

if TYPE_CHECKING:
    from excise.simulate import Plan, Report
    from excise.simulate.compose import Row

LOG, TRUTH = "log.ndjson", "truth.csv"

Seed = Annotated[int, typer.Option("--seed", metavar="N", help="The same seed, the same log.")]
Days = Annotated[float, typer.Option("--days", metavar="D", help="How long the log is.")]
Requests = Annotated[
    int, typer.Option("--requests", metavar="N", help="Of ordinary users, in all.")
]
Add = Annotated[
    list[str] | None,
    typer.Option("--add", metavar="A,B", help="Campaigns, stress cases: see --list; repeatable."),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME.PARAMETER=VALUE", help="One parameter; repeatable."),
]
NoHashes = Annotated[bool, typer.Option("--no-hashes", help="As a gateway without prompt hashes.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where to write the log.")]
Score = Annotated[
    Path | None, typer.Option("--score", metavar="DIR", help="Judge decisions on the log there.")
]
Decisions = Annotated[
    Path | None,
    typer.Option("--decisions", metavar="FILE", help="What `excise replay --decisions` wrote."),
]
Listed = Annotated[bool, typer.Option("--list", help="Name campaigns, stress cases, parameters.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("simulate")(simulate)


def simulate(
    *,
    seed: Seed = 1,
    days: Days = 1.0,
    requests: Requests = 100_000,
    add: Add = None,
    set_: Set = None,
    no_hashes: NoHashes = False,
    out: Out = None,
    score: Score = None,
    decisions: Decisions = None,
    list_: Listed = False,
    as_json: AsJson = False,
) -> None:
    """Write a labelled log of ordinary users and campaigns, or judge decisions on one.

    The log is for `excise replay`; it holds reserved addresses only.
    """
    if list_:
        print("\n".join(_listed()))
    elif score is not None:
        if decisions is None or out is not None:
            raise typer.BadParameter("--score DIR goes with --decisions FILE, and not with --out")
        _judge(score, decisions, as_json=as_json)
    elif out is None:
        raise typer.BadParameter("give --out DIR to write a log, or --score DIR, or --list")
    else:
        from excise.simulate import Plan

        names = tuple(filter(None, ",".join(add or []).split(",")))
        _write(Plan(seed, days, requests, names, _options(set_ or []), not no_hashes), out)


def _options(given: list[str]) -> dict[str, dict[str, float]]:
    """Read `hydra.share=0.2` into {"hydra": {"share": 0.2}}; whole numbers stay whole."""
    options: dict[str, dict[str, float]] = {}
    for text in given:
        path, _, value = text.partition("=")
        name, _, key = path.partition(".")
        try:
            parsed = float(value)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is not NAME.PARAMETER=VALUE") from None
        whole = int(parsed) if parsed.is_integer() else parsed
        options.setdefault(name, {})[key] = whole
    return options


def _listed() -> Iterator[str]:
    from excise.simulate.compose import GROUPS, MAKERS, parameters

    for group, names in GROUPS.items():
        yield f"{group}:"
        for name in names:
            given = ", ".join(f"{k}={v:g}" for k, v in parameters(name).items())
            about = (MAKERS[name].__doc__ or "").partition("\n")[0].removeprefix("Yield ")
            yield f"  {name:12} {about}"
            yield f"  {'':12} {given}" if given else ""


def _write(plan: Plan, out: Path) -> None:
    from excise.simulate import compose
    from excise.simulate.compose import Row

    try:
        out.mkdir(parents=True, exist_ok=True)
        with (out / LOG).open("wb") as log, (out / TRUTH).open("w", newline="") as truth:
            rows = csv.writer(truth)
            rows.writerow(Row._fields)
            lines = 0
            for line, row in compose(plan):
                log.write(line + b"\n")
                rows.writerow([*row[:6], int(row.hostile), row.user])
                lines += 1
    except OSError as error:
        raise ExciseError(f"{out} cannot be written: {error.strerror}") from error
    print(printable(f"{out / LOG}: {lines:,} requests; {out / TRUTH}: what each of them is"))


def _judge(directory: Path, decisions: Path, *, as_json: bool) -> None:
    import msgspec

    from excise.simulate import score

    try:
        with decisions.open("rb") as stream:
            report = score(_rows(directory / TRUTH), map(msgspec.json.decode, stream))
    except OSError as error:
        raise ExciseError(f"{error.filename} cannot be read: {error.strerror}") from error
    except (msgspec.MsgspecError, KeyError, ValueError, TypeError) as error:
        text = f"{decisions} or {directory / TRUTH} is not what it should be: {error}"
        raise ExciseError(text) from error
    print(json_text(msgspec.json.encode(report)) if as_json else described(report))


def _rows(path: Path) -> Iterator[Row]:
    from excise.simulate.compose import Row

    csv.field_size_limit(1 << 20)
    with path.open(newline="") as stream:
        for one in csv.DictReader(stream):
            yield Row(
                ts=float(one["ts"]),
                start=float(one["start"]),
                client=one["client"],
                account=one["account"],
                output_tokens=int(one["output_tokens"]),
                case=one["case"],
                hostile=one["hostile"] == "1",
                user=one["user"],
            )


def described(report: Report) -> str:
    """Return the judgement for a person."""
    harvest = [
        [c.case, number(c.requests), number(c.output_tokens), f"{c.network:.1%}", f"{c.both:.1%}",
         "never" if c.first_s is None else f"{c.first_s / 3600:.2f} h",
         f"{c.accounts_met:,}/{c.accounts:,}", f"{c.sources_met:,}/{c.sources:,}"]
        for c in report.campaigns
    ]  # fmt: skip
    harm = [
        [h.case, number(h.requests), number(h.stopped), number(h.slowed),
         f"{h.users_hit:,}/{h.users:,}", number(h.sources_dropped), number(h.accounts_denied)]
        for h in report.honest
    ]  # fmt: skip
    heads = ["campaign", "requests", "tokens", "network", "both", "first", "accounts", "sources"]
    costs = ["honest", "requests", "stopped", "slowed", "people hit", "dropped", "denied"]
    blocks = [
        "Leakage: output tokens that campaigns still got, by the network alone and by both planes",
        table(heads, harvest, " ".join(heads[1:])) if harvest else "no campaign in this log",
        "",
        "Harm: what honest users met",
        table(costs, harm, "requests stopped slowed dropped denied"),
        f"honest accounts in enforced campaigns: {len(report.in_campaigns)}",
    ]
    return "\n".join(blocks)
