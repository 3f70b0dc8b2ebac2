"""`excise check`: validate configuration and rules, run the rules' own tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from excise.cli.options import AsJson, ConfigFile
from excise.cli.text import count, json_text, printable
from excise.errors import ConfigError

if TYPE_CHECKING:
    from excise.rulecheck import CheckReport
    from excise.rules.lint import Problem

Paths = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[PATH]...", help="Rule files or directories; none: all configured."),
]
NoTests = Annotated[
    bool, typer.Option("--no-tests", help="Leave out the rules' own tests, some ten seconds.")
]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("check")(check)


def check(
    paths: Paths = None,
    config: ConfigFile = None,
    no_tests: NoTests = False,
    as_json: AsJson = False,
) -> None:
    """Validate configuration and rules, and run the rules' own tests.

    With paths, only these rules are checked, and the configuration only if it is named.
    """
    from excise.rulecheck import CheckReport, check_rules

    problems, directories, notes = _configuration(config, paths or [])
    report = check_rules(directories, tests=not (no_tests or problems))
    report = CheckReport(report.rules, report.tests, (*problems, *report.problems))
    if as_json:
        _print_json(report)
    else:
        _print_text(report, notes, waits=bool(problems) and not no_tests)
    if report.errors:
        raise typer.Exit(ConfigError.exit_status)


def _configuration(
    file: Path | None, paths: list[Path]
) -> tuple[list[Problem], list[Path], tuple[str, ...]]:
    """Return what is wrong with the configuration, where the rules are, and notes."""
    from excise.config import read_config, rule_directories, with_asns
    from excise.rulecheck import as_problem

    if paths and file is None:
        return [], paths, ()
    config, errors = read_config(file)
    directories = paths
    try:
        with_asns(config)
        directories = paths or list(rule_directories(config))
    except ConfigError as error:
        errors = [*errors, error]
    return [as_problem(error, "config") for error in errors], directories, config.notes


def _print_text(report: CheckReport, notes: tuple[str, ...], *, waits: bool) -> None:
    for note in notes:
        print(printable(f"note: {note}"))
    for problem in report.problems:
        print(printable(str(problem)))
    if waits:
        print("note: the rules' own tests wait until the configuration is sound")
    print(f"{summary(report)}")


def summary(report: CheckReport) -> str:
    """Return `12 rules, 40 tests, all good`, or how many errors and warnings there are."""
    warnings = len(report.problems) - report.errors
    verdict = [count(report.errors, "error")] if report.errors else ["all good"]
    if warnings:
        verdict.append(count(warnings, "warning"))
    return ", ".join([count(report.rules, "rule"), count(report.tests, "test"), *verdict])


def _print_json(report: CheckReport) -> None:
    import msgspec

    encode = msgspec.json.encode
    for problem in report.problems:
        mark = problem.mark
        line = {
            "check": problem.check,
            "severity": problem.severity.value,
            "file": mark.file if mark else None,
            "line": mark.line if mark else None,
            "column": mark.column if mark else None,
            "message": problem.message,
            "hint": problem.hint,
        }
        print(json_text(encode(line)))
    errors, warnings = report.errors, len(report.problems) - report.errors
    total = {
        "rules": report.rules,
        "tests": report.tests,
        "errors": errors,
        "warnings": warnings,
    }
    print(encode(total).decode())
