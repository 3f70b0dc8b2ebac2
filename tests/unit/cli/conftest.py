"""The real command, in a process of its own, against a served fake daemon."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from excise.cli.main import main

BINARY = Path(sys.executable).with_name("excise")


def load_daemon():
    """Return the fake daemon of the API's tests."""
    path = Path(__file__).parents[1] / "api" / "conftest.py"
    spec = importlib.util.spec_from_file_location("excise_fake_daemon", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def daemon_module():
    return load_daemon()


@pytest.fixture
def served(tmp_path, daemon_module):
    with daemon_module.serving(tmp_path) as server:
        yield server


@pytest.fixture
def served_empty(tmp_path, daemon_module):
    with daemon_module.serving(tmp_path, empty=True) as server:
        yield server


def environment(**more):
    kept = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    return kept | {"TERM": "xterm", "COLUMNS": "200"} | more


@pytest.fixture
def excise():
    """Run the command; return the finished process, its output as text."""

    def run(*arguments, socket=None, timeout_s=100, **more):
        where = ["--socket", str(socket)] if socket else []
        return subprocess.run(
            [str(BINARY), *map(str, arguments), *where],
            capture_output=True,
            check=False,
            text=True,
            timeout=timeout_s,
            env=environment(**more),
            stdin=subprocess.DEVNULL,
        )

    return run


@pytest.fixture
def excise_here(monkeypatch, capsys):
    """Run the command within this process: faster, where the process is not the point."""

    def run(*arguments, socket=None):
        where = ["--socket", str(socket)] if socket else []
        monkeypatch.setattr(sys, "argv", ["excise", *map(str, arguments), *where])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return SimpleNamespace(returncode=ended.value.code, stdout=out, stderr=err)

    return run


@pytest.fixture
def start():
    """Start the command with pipes; it is killed at the end if it still runs."""
    started = []

    def begin(*arguments, **options):
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        process = subprocess.Popen(
            [str(BINARY), *map(str, arguments)], env=environment(), **options
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


@pytest.fixture
def colours_in():
    """Run the command on a terminal; return (status, what the terminal got)."""

    def run(*arguments, keys=b"", **more):
        ours, theirs = os.openpty()
        process = subprocess.Popen(
            [str(BINARY), *map(str, arguments)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment(**more),
            start_new_session=True,
        )
        os.close(theirs)
        os.write(ours, keys)
        got = b""
        try:
            while chunk := os.read(ours, 65_536):
                got += chunk
        except OSError:  # EIO: the other end is closed
            pass
        finally:
            os.close(ours)
            status = process.wait(timeout=20)
        return status, got.decode()

    return run
