"""`excise replay`: recorded lines through the daemon's own engine, in event time."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from excise.cli.options import AsJson, ConfigFile
from excise.cli.text import json_text, printable
from excise.errors import ExciseError
from excise.model.decision import Posture

if TYPE_CHECKING:
    from excise.config import Config
    from excise.decode.base import Decoder
    from excise.engine import Engine
    from excise.model.settings import Settings
    from excise.replay import Accounting, Chronicle, Summary
    from excise.rules.schema import Rulebook

#: an input smaller than this is read before a person would look for progress
SHOW_PROGRESS_BYTES = 64 << 20

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT...", help="Logs, .gz and .zst too, directories of logs, or - for stdin."
    ),
]
Format = Annotated[str, typer.Option("--format", metavar="F", help="Log format, or auto.")]
RuleDirs = Annotated[
    list[Path] | None,
    typer.Option(
        "--rules", metavar="DIR", help="Rules instead of the configured ones; repeatable."
    ),
]
Postures = Annotated[Posture, typer.Option("--posture", help="The most that is decided.")]
Decisions = Annotated[
    str | None,
    typer.Option("--decisions", metavar="OUT", help="Write every decision as NDJSON; - is stdout."),
]
ReportFile = Annotated[
    Path | None,
    typer.Option("--report", metavar="OUT.html", help="Write a page with plots to look at."),
]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("replay")(replay)


def replay(
    inputs: Inputs,
    *,
    format_: Format = "auto",
    rules: RuleDirs = None,
    config: ConfigFile = None,
    posture: Postures = Posture.ENFORCE,
    decisions: Decisions = None,
    report: ReportFile = None,
    as_json: AsJson = False,
) -> None:
    """Run the daemon's engine over recorded lines and say what it would have decided.

    Needs no privilege and changes nothing. The same lines give the same decisions on every run.
    """
    from excise.engine import Engine
    from excise.replay import Accounting, Chronicle
    from excise.replay import replay as run
    from excise.rules.schema import Maturity

    settings, book, decoder_for = _prepare(format_, rules, config, posture)
    engine = Engine(settings, book)
    chronicle = Chronicle() if report else None
    trusted = (r.id for r in book.rules if r.maturity is not Maturity.EXPERIMENTAL)
    accounting = Accounting(trusted, chronicle)
    began = time.monotonic()
    with ExitStack() as stack:
        sink = stack.enter_context(_sink(decisions)) if decisions else None
        page = stack.enter_context(_opened(report)) if report else None
        progress = stack.enter_context(_progress(inputs))
        run(inputs, decoder_for, engine, accounting, sink=sink, progress=progress)
        if page and chronicle:
            page.write(_report(inputs, engine, accounting, chronicle))
    _print(
        accounting.summary(), time.monotonic() - began, as_json=as_json, to_stderr=decisions == "-"
    )


def _prepare(
    format_: str, rules: list[Path] | None, config: Path | None, posture: Posture
) -> tuple[Settings, Rulebook, Callable[[Sequence[bytes]], Decoder]]:
    import msgspec

    from excise.config import load, rule_directories, with_asns
    from excise.rulecheck import load_rules

    loaded = with_asns(load(config))
    book, errors = load_rules(rules or rule_directories(loaded))
    if errors:
        for error in errors:
            print(printable(f"excise: {error}"), file=sys.stderr)
        raise typer.Exit(errors[0].exit_status)
    settings = msgspec.structs.replace(loaded.settings(), posture=posture)
    return settings, book, _decoders(format_, loaded)


def _decoders(format_: str, config: Config) -> Callable[[Sequence[bytes]], Decoder]:
    """Return what chooses a decoder by the first lines of an input."""
    from excise.config import decode_context
    from excise.decode.registry import AUTO, FORMATS, detect, make_decoder
    from excise.decode.registry import Format as Configured

    # No secret of this host: a replay gives the same account ids to everybody who runs it.
    configured = [f.format for f in config.inputs if isinstance(f.format, Configured)]
    named = next((one for one in configured if one.name == format_), format_)
    if named not in (AUTO, *FORMATS, *configured):
        known = ", ".join((AUTO, *FORMATS))
        raise typer.BadParameter(f"unknown format {format_!r}; known: {known}")
    context = decode_context(config, account_key=b"")

    def choose(lines: Sequence[bytes]) -> Decoder:
        found = detect(lines, context, configured) if named == AUTO else named
        return make_decoder(found, context)

    return choose


@contextmanager
def _sink(out: str) -> Iterator[Callable[[bytes], object]]:
    if out == "-":
        yield lambda line: print(json_text(line.rstrip()))
        return
    with _opened(Path(out)) as stream:
        yield stream.write


@contextmanager
def _opened(out: Path) -> Iterator[IO[bytes]]:
    """Open before the work begins: nobody waits for a replay that cannot be written."""
    try:
        with out.open("wb") as stream:
            yield stream
    except OSError as error:
        raise ExciseError(f"{out} cannot be written: {error.strerror}") from error


def _report(
    inputs: Sequence[str], engine: Engine, accounting: Accounting, chronicle: Chronicle
) -> bytes:
    from excise.report import collect, page

    return page(collect(inputs, engine, accounting, chronicle)).encode()


@contextmanager
def _progress(inputs: Sequence[str]) -> Iterator[Callable[[int], object] | None]:
    """Show a bar on a terminal while long plain files are read."""
    from excise.unpack import is_packed

    total = sum(Path(name).stat().st_size for name in inputs if Path(name).is_file())
    plain = all(Path(name).is_file() and not is_packed(name) for name in inputs)
    if not sys.stderr.isatty() or total < SHOW_PROGRESS_BYTES or not plain:
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("replay", total=total)
        yield lambda count: bar.advance(task, count)


def _print(summary: Summary, seconds: float, *, as_json: bool, to_stderr: bool) -> None:
    import msgspec

    from excise.cli.replayed import describe

    text = json_text(msgspec.json.encode(summary)) if as_json else describe(summary, seconds)
    print(text, file=sys.stderr if to_stderr else sys.stdout)
