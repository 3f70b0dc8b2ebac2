"""The commands that the first page shows do what it shows."""

import re
import subprocess
import sys

import pytest

BLOCK = re.compile(r"```console\n\$ ([^\n]*)\n(.*?)```", re.DOTALL)
#: how long it took is the machine's, not the page's
TOOK = re.compile(r"read in .*", re.MULTILINE)


@pytest.fixture
def shown(checkout):
    """The one command on the first page that shows its output, and that output."""
    (found,) = BLOCK.findall((checkout / "README.md").read_text())
    return found


def run(checkout, command):
    program, *arguments = command.split()
    assert ".venv/bin/excise" == program
    return subprocess.run(
        [sys.executable, "-m", "excise", *arguments],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_example_log_replays_as_shown(checkout, shown):
    command, output = shown
    done = run(checkout, command)

    assert (0, "") == (done.returncode, done.stderr)
    assert TOOK.sub("read", output).split("\n") == TOOK.sub("read", done.stdout).split("\n")


def test_nobody_honest_is_decided_about_in_the_example(checkout, shown):
    done = run(checkout, f"{shown[0]} --decisions -")
    targets = set(re.findall(r'"target":"([^"]+)"', done.stdout))

    assert {"203.0.113.9/32", "acct-x", "acct-y"} == targets
    assert '"action":"drop"' in done.stdout
