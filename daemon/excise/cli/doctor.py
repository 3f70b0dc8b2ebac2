"""`excise doctor`: is everything here that excise needs, and what to do if not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from excise.api.wire import StatusView
from excise.cli.client import Client, decode
from excise.cli.options import AsJson, ConfigFile, SocketFile, connect
from excise.cli.text import json_text, paint, printable
from excise.errors import ConfigError, ExciseError, RefusedError, UnreachableError

if TYPE_CHECKING:
    from excise.doctor import Check, Sample
    from excise.model.view import InputView

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def doctor(
        as_json: AsJson = False,
        config: ConfigFile = None,
        socket: SocketFile = None,
        iptables: Annotated[
            bool, typer.Option(help="Print the iptables rules for enforcer: ipset, as shell lines.")
        ] = False,
        undo: Annotated[
            bool, typer.Option(help="With --iptables: print what takes them away again.")
        ] = False,
    ) -> None:
        """Check configuration, rules, kernel and daemon, and sample the inputs.

        Exits 1 if any check fails.
        """
        from excise.doctor import examine

        if undo and not iptables:
            raise typer.BadParameter("takes --iptables", param_hint="--undo")
        if iptables:
            print(_iptables(config, undo=undo), end="")
            return
        found = examine(config)
        checks = [*found.checks, *check_daemon(_client(socket, config), found.samples)]
        if as_json:
            _print_json(checks, found.samples)
        else:
            print("\n".join(map(describe, checks)))
        if any(check.state == "fail" for check in checks):
            raise typer.Exit(1)


def _client(socket: SocketFile, config: ConfigFile) -> Client | None:
    try:
        return connect(socket, config)
    except ConfigError:
        return None  # the check of the configuration says it already


def _iptables(path: Path | None, *, undo: bool) -> str:
    """Return the shell lines. Raises ConfigError."""
    from excise.config import read_config
    from excise.enforce import ipset_rules

    if undo:
        return ipset_rules.undo()
    config, errors = read_config(path)
    if errors:
        raise errors[0]
    return ipset_rules.setup(config.tiers)


def check_daemon(client: Client | None, samples: Sequence[Sample] = ()) -> Iterator[Check]:
    """Whether a daemon answers, does its job, and hears what only it can hear."""
    from excise.doctor import Check, State

    if client is None:
        text = "not asked: the configuration names no socket"
        yield Check("daemon", State.WARN, text, "name it with --socket")
        return
    try:
        view = decode(client.get("/v1/status"), StatusView)
    except UnreachableError as error:
        yield Check("daemon", State.WARN, str(error), "start it: systemctl start excise")
    except RefusedError as error:
        yield Check("daemon", State.FAIL, str(error), "run this as root")
    except ExciseError as error:
        yield Check("daemon", State.FAIL, str(error), "see its log: journalctl -u excise")
    else:
        yield _check_status(view, client.socket_path)
        unseen = {sample.name for sample in samples if sample.problem}
        yield from (_check_heard(one) for one in view.inputs if one.name in unseen)


def _check_heard(one: InputView) -> Check:
    """What the daemon made of an input that nobody else can look at, such as a socket."""
    from excise.doctor import Check, State

    rejected = sum(one.rejects.values())
    text = f"{one.name}: {one.records:,} requests of {one.lines:,} lines since its start"
    if rejected:
        most = sorted(one.rejects.items(), key=lambda item: -item[1])[:4]
        text += f"; rejected: {', '.join(f'{reason} {n:,}' for reason, n in most)}"
    if one.problem:
        return Check("heard", State.WARN, f"{text}; {one.problem}", "see `excise status`")
    if rejected > one.records:
        return Check("heard", State.WARN, text, "see docs/inputs.md, reject reasons")
    return Check("heard", State.OK, text)


def _check_status(view: StatusView, socket: Path) -> Check:
    """Whether a daemon that answers can do its job."""
    from excise.doctor import Check, State

    if view.not_ready:
        advice = "see `excise status` and its log: journalctl -u excise"
        return Check("daemon", State.FAIL, "; ".join(view.not_ready), advice)
    if view.engine.peers_doubted:
        text = f"the real-IP set-up seems to be wrong: {view.engine.peers_doubted}"
        advice = "name your proxies in trusted_proxies, or set confirm_peers: true"
        return Check("daemon", State.FAIL, text, advice)
    return Check("daemon", State.OK, f"answers on {socket}, posture {view.posture}")


def describe(check: Check) -> str:
    """Return a check as a line for a person, and what to do as another."""
    line = f"{paint(check.state.value.ljust(4), COLOURS[check.state.value])}  {check.name}: "
    line += printable(check.text)
    return f"{line}\n      → {printable(check.advice)}" if check.advice else line


def _print_json(checks: list[Check], samples: Sequence[Sample]) -> None:
    import msgspec

    failed = any(check.state == "fail" for check in checks)
    told = {"healthy": not failed, "checks": checks, "samples": list(map(_told, samples))}
    print(json_text(msgspec.json.encode(told)))


def _told(sample: Sample) -> dict[str, object]:
    """Return a sample in numbers: never a line, an address or an account."""
    from excise.doctor import answered, shares

    asked = answered(sample.records)
    return {
        "name": sample.name,
        "formats": sample.formats,
        "lines": sample.lines,
        "records": len(sample.records),
        "rejects": dict(sample.rejects),
        "answered": len(asked),
        "filled": shares(asked),
        "problem": sample.problem,
    }
