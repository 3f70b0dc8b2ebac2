"""`excise init`: write a first configuration from what this host shows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from excise.cli.options import DEFAULT_CONFIG, ConfigFile
from excise.cli.text import count, printable
from excise.errors import ConfigError, ExciseError, RefusedError

STDOUT = Path("-")


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def init(
        config: ConfigFile = None,
        force: Annotated[bool, typer.Option(help="Replace a file that is there.")] = False,
        stdout: Annotated[
            bool, typer.Option("--stdout", help="Print it instead; --config - does, too.")
        ] = False,
    ) -> None:
        """Write a first configuration from the gateways, logs and ports found on this host."""
        from excise.doctor.discover import discover
        from excise.doctor.draft import chosen, draft

        file = STDOUT if stdout else config or DEFAULT_CONFIG
        if file != STDOUT and not force and os.path.lexists(file):
            raise _there(file)
        host = discover()
        text = draft(host)
        _prove(text)
        if file == STDOUT:
            print(text, end="")
            return
        write(file, text, force=force)
        print(printable(f"{file} written: {count(len(chosen(host)), 'log')} found"))
        print(next_steps(file))


def next_steps(file: Path) -> str:
    """Return what to do now."""
    option = "" if file == DEFAULT_CONFIG else f" --config {file}"
    return printable_lines(
        f"Next: read it, and change what is wrong: {file}",
        f"      excise doctor{option}          what excise can see, and what not",
        "      systemctl enable --now excise  observe; nothing is throttled or dropped yet",
    )


def printable_lines(*lines: str) -> str:
    """Return lines of which none holds control characters."""
    return "\n".join(map(printable, lines))


def _there(file: Path) -> RefusedError:
    return RefusedError(f"{file} is there already; --force replaces it, --stdout only prints")


def _prove(text: str) -> None:
    """Read it as the daemon would. Raises ConfigError."""
    from excise.config import parse_config
    from excise.yamlread import read_yaml

    _, errors = parse_config(read_yaml(text, "excise.yaml"), None)
    if errors:
        raise ConfigError(f"what init wrote is no configuration: {errors[0]}", None, "report it")


def write(file: Path, text: str, *, force: bool) -> None:
    """Write a file whole or not at all; without `force` never over another. Raises ExciseError."""
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(mode=0o755, exist_ok=True)
        try:
            with part.open("x", encoding="utf-8") as out:
                out.write(text)
                os.fchmod(out.fileno(), 0o644)
                out.flush()
                os.fsync(out.fileno())
            if force:
                part.replace(file)
            else:
                os.link(part, file)
        finally:
            part.unlink(missing_ok=True)
    except FileExistsError as error:
        raise _there(file) from error
    except OSError as error:
        raise ExciseError(
            f"{file} cannot be written: {error.strerror}; run this as root"
        ) from error
