"""The documentation of the command line names every verb, its options and exit statuses."""

import re
from pathlib import Path

import pytest
import typer

from excise.cli.main import VERBS, build_app
from excise.errors import ExciseError

TEXT = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
#: every verb's row must name these of its options; the ones all share stand at the top
SHARED = {"--json", "--config", "--socket", "--help", "--reason"}


def rows():
    return dict(re.findall(r"^\| `excise (\w+)[^`]*` \| (.*) \|$", TEXT, re.MULTILINE))


def options_of(verb):
    command = typer.main.get_command(build_app([verb])).commands[verb]
    return {name for p in command.params for name in p.opts if name.startswith("--")}


def test_every_verb_is_documented_and_no_other():
    assert set(VERBS) == set(rows())


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "replay"])
def test_every_option_is_documented(verb):
    inherited = rows()["drop"] if verb == "throttle" else ""
    text = rows()[verb] + inherited + TEXT[TEXT.index("`excise events --json` is") :]
    missing = {o for o in options_of(verb) - SHARED if o not in text and o != "--follow"}
    assert set() == missing


def test_every_exit_status_is_documented():
    def statuses(kind):
        return {kind.exit_status}.union(*map(statuses, kind.__subclasses__()))

    documented = {int(n) for n in re.findall(r"^\| (\d) \|", TEXT, re.MULTILINE)}
    assert statuses(ExciseError) | {0, 2} == documented
