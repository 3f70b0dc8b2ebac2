"""What excise needs of this host: configuration, rules, inputs, state, kernel, clock."""

from __future__ import annotations

import os
import re
from pathlib import Path

from excise.config import Config, InputConfig, rule_directories
from excise.doctor.check import Check, State
from excise.errors import ConfigError
from excise.rulecheck import load_rules

#: several expressions in a set's element (NFTA_SET_ELEM_EXPRESSIONS): limit and counter
KERNEL_LEAST = (5, 11)
#: NFT_TABLE_F_PERSIST: with `nft: {owner: true}` the table outlives a crash
KERNEL_PERSIST = (6, 9)
CLOCK_SYNCHRONISED = Path("/run/systemd/timesync/synchronized")


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
    if one.file is None:
        return Check("input", State.OK, "standard input")
    name = f"{one.file} ({one.format})"
    if os.access(one.file, os.R_OK):
        return Check("input", State.OK, f"{name} is readable")
    if _exists(one.file):
        advice = "add the daemon's user to the file's group (adm for nginx on Debian)"
        return Check("input", State.FAIL, f"{name} is not readable", advice)
    advice = "let the gateway log there; the daemon waits for the file"
    return Check("input", State.WARN, f"{name} is not there", advice)


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


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a directory above may not be looked into
        return True
