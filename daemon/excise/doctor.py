"""Looks at everything that excise needs of this host, and says what to do about what is amiss.

Read-only: nothing is made, changed or loaded. Each check is a function of what it looks at, so
that one that cannot look does not hide the others.
"""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from glob import glob
from pathlib import Path

from excise.config import (
    Backend,
    Config,
    InputConfig,
    JournalConfig,
    SocketConfig,
    Wire,
    read_config,
    rule_directories,
)
from excise.enforce.nft_layout import MARK, TABLE
from excise.enforce.nft_socket import NftSocket
from excise.enforce.nft_wire import Message, Msg, parse
from excise.errors import ConfigError, EnforceError, SourceError
from excise.rulecheck import load_rules
from excise.sources.journal import find_journalctl, last_cursor
from excise.unpack import is_packed

#: several expressions in a set's element (NFTA_SET_ELEM_EXPRESSIONS): limit and counter
KERNEL_LEAST = (5, 11)
#: NFT_TABLE_F_PERSIST: with `nft: {owner: true}` the table outlives a crash
KERNEL_PERSIST = (6, 9)
CLOCK_SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
#: a prefix of a table's or chain's name → who made it
FIREWALLS = {
    "docker": "Docker",
    "firewalld": "firewalld",
    "ufw": "ufw",
    "crowdsec": "CrowdSec",
    "f2b": "fail2ban",
}


class State(StrEnum):
    """How a check went."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, how it is, and what to do unless it is fine."""

    name: str
    state: State
    text: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """A table of the kernel's ruleset, with the names of its chains."""

    name: str
    ours: bool
    chains: tuple[str, ...] = ()


#: returns all tables, or raises EnforceError
Tables = Callable[[], list[Held]]
#: returns reasons why the running daemon is not ready, or raises ExciseError
Daemon = Callable[[], list[str]]


def examine(path: Path | None, tables: Tables) -> Iterator[Check]:
    """Yield every check that needs no running daemon; `path` is the configuration file."""
    config, errors = read_config(path)
    yield check_config(config, errors)
    yield check_rules(config)
    yield from (check_input(one) for one in config.inputs)
    yield check_state(config.state)
    yield check_kernel(platform.release(), persist=config.nft.owner)
    yield check_clock(time.time(), Path(__file__).stat().st_mtime, CLOCK_SYNCHRONISED.exists())
    yield from check_tables(config.enforcer, tables)


def check_config(config: Config, errors: list[ConfigError]) -> Check:
    """Whether the configuration can be used."""
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        return Check(
            "configuration", State.FAIL, f"{errors[0]}{more}", "correct it; see `excise check`"
        )
    if config.notes:
        return Check("configuration", State.WARN, "; ".join(config.notes), "write one")
    return Check("configuration", State.OK, f"{config.path}: posture {config.posture}")


def check_rules(config: Config) -> Check:
    """Whether every rule can be used (their own tests are `excise check`'s)."""
    try:
        book, errors = load_rules(rule_directories(config))
    except ConfigError as error:
        return Check("rules", State.FAIL, str(error), "correct `rules:` in the configuration")
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        return Check("rules", State.FAIL, f"{errors[0]}{more}", "correct it; see `excise check`")
    if not book.rules:
        return Check("rules", State.FAIL, "there are none", "name a directory in `rules:`")
    return Check("rules", State.OK, f"{len(book.rules)} rules are valid")


def check_input(one: InputConfig) -> Check:
    """Whether an input can be read by this user."""
    if one.journal is not None:
        return check_journal(one.journal)
    if one.socket is not None:
        return check_socket(one.socket)
    if one.file is None:
        return Check("input", State.OK, one.name)
    return check_pattern(one) if one.pattern else check_file(one, one.file)


def check_file(one: InputConfig, file: Path) -> Check:
    """Whether a log can be read by this user."""
    name = f"{file} ({one.format})"
    if os.access(file, os.R_OK):
        return Check("input", State.OK, f"{name} is readable")
    if _exists(file):
        advice = "add the daemon's user to the file's group (adm for nginx on Debian)"
        return Check("input", State.FAIL, f"{name} is not readable", advice)
    advice = "let the gateway log there; the daemon waits for the file"
    return Check("input", State.WARN, f"{name} is not there", advice)


def check_journal(journal: JournalConfig) -> Check:
    """Whether the journal can be read by this user."""
    try:
        last_cursor(find_journalctl(), journal)
    except SourceError as error:
        return Check("input", State.FAIL, str(error), "see docs/inputs.md, journal")
    return Check("input", State.OK, f"{journal.name} is readable")


def check_socket(socket: SocketConfig) -> Check:
    """Whether a socket can be made where it is configured, as far as can be said without it."""
    if socket.wire is not Wire.UNIX:
        return Check("input", State.OK, f"{socket.name} will be listened on")
    directory = socket.path.parent
    if not directory.is_dir():
        advice = "make it, or put the socket into /run/excise, which the unit makes"
        return Check("input", State.FAIL, f"{directory} is not there for {socket.name}", advice)
    return Check("input", State.OK, f"{socket.name} has its directory")


def check_pattern(one: InputConfig) -> Check:
    """Whether any file fits a pattern, and all that do can be read by this user."""
    names = [name for name in glob(one.name, recursive=True) if not is_packed(name)]
    if not names:
        return Check("input", State.WARN, f"no file fits {one.name}", "is the path right?")
    closed = [name for name in names if not os.access(name, os.R_OK)]
    if closed:
        advice = "add the daemon's user to the files' group (adm for nginx on Debian)"
        return Check("input", State.FAIL, f"{closed[0]} is not readable", advice)
    return Check("input", State.OK, f"{one.name}: readable, {len(names)} now")


def check_state(directory: Path) -> Check:
    """Whether the state directory can be written, or made."""
    name = "state directory"
    if not _exists(directory):
        above = next(parent for parent in directory.parents if _exists(parent))
        if os.access(above, os.W_OK):
            return Check(name, State.OK, f"{directory} will be made")
        return Check(name, State.FAIL, f"{directory} is missing", "make it, or run as its owner")
    if directory.is_dir() and os.access(directory, os.W_OK | os.X_OK):
        return Check(name, State.OK, f"{directory} is writable")
    return Check(name, State.FAIL, f"{directory} cannot be written", "run as its owner")


def check_kernel(release: str, *, persist: bool) -> Check:
    """Whether the kernel's nftables can do what is asked of it."""
    numbers = re.match(r"(\d+)\.(\d+)", release)
    version = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    if version < KERNEL_LEAST:
        advice = "use Linux 5.11 or newer, or set enforcer: dry-run"
        return Check("kernel", State.FAIL, f"{release} is too old to throttle", advice)
    if persist and version < KERNEL_PERSIST:
        advice = "use Linux 6.9 or newer, or leave nft.owner out"
        return Check(
            "kernel", State.WARN, f"{release}: an owned table ends with the daemon", advice
        )
    return Check("kernel", State.OK, f"Linux {release}")


def check_clock(now: float, installed_ts: float, synchronised: bool) -> Check:
    """Whether the wall clock can be right; records carry its times."""
    if now < installed_ts:
        text = "it is earlier than the installation of excise"
        return Check("clock", State.FAIL, text, "set the clock; see timedatectl(1)")
    if not synchronised:
        text = "not known to be synchronised"
        return Check("clock", State.WARN, text, "run an NTP client, unless one does already")
    return Check("clock", State.OK, "synchronised")


def check_tables(backend: Backend, tables: Tables) -> Iterator[Check]:
    """Whether nftables answers, whether our table is ours, and who else is there."""
    try:
        held = tables()
    except EnforceError as error:
        needed = backend is Backend.NFTABLES
        advice = "run this as root; give the daemon CAP_NET_ADMIN"
        yield Check("nftables", State.FAIL if needed else State.WARN, str(error), advice)
        return
    yield Check("nftables", State.OK, f"answers; the ruleset has {len(held)} tables")
    yield _own_table(held)
    others = sorted(set(_firewalls(held)))
    if others:
        text = f"{', '.join(others)}: their chains run after those of excise, and stay as they are"
        yield Check("other firewalls", State.OK, text)
    else:
        yield Check("other firewalls", State.OK, "none found")


def _own_table(held: Iterable[Held]) -> Check:
    named = [table for table in held if table.name == TABLE]
    if any(not table.ours for table in named):
        text = f"a table {TABLE} was not made by excise"
        advice = "look at it (nft list tables), then rename or delete it: excise leaves it alone"
        return Check("own table", State.FAIL, text, advice)
    return Check("own table", State.OK, "in place" if named else "will be made")


def _firewalls(held: Iterable[Held]) -> Iterator[str]:
    for table in held:
        for name in (table.name, *table.chains):
            for prefix, firewall in FIREWALLS.items():
                if name.lower().startswith(prefix):
                    yield firewall


def read_tables() -> list[Held]:
    """List the kernel's tables and chains. Raises EnforceError; PrivilegeError without right."""
    try:
        nft = NftSocket()
    except OSError as error:
        raise EnforceError(f"no netlink socket to nftables: {error}") from error
    try:
        replies = nft.ask(Message(Msg.GETTABLE, 0, b""))
        chains: dict[tuple[int, str], list[str]] = {}
        for reply in nft.ask(Message(Msg.GETCHAIN, 0, b"")):
            fields = parse(reply.payload)
            key = (reply.family, _name(fields.get(1, b"")))
            chains.setdefault(key, []).append(_name(fields.get(3, b"")))
    finally:
        nft.close()
    found = []
    for reply in replies:
        fields = parse(reply.payload)
        name = _name(fields.get(1, b""))
        ours = MARK.encode() in fields.get(6, b"")
        found.append(Held(name, ours, tuple(chains.get((reply.family, name), ()))))
    return found


def _name(field: bytes) -> str:
    return field.rstrip(b"\0").decode(errors="replace")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a directory above may not be looked into
        return True
