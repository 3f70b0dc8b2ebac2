"""Reload: read everything anew, put in force what can be, say what waits for a restart.

Nothing changes unless all of it is sound: the last good set stays, with the reasons.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from excise import config as configuration
from excise.config import Config
from excise.errors import ConfigError, InvalidError
from excise.host import Places, ssh_ports
from excise.model.view import ReloadView
from excise.rulecheck import load_rules
from excise.rules.schema import Rulebook

#: keys of the configuration that take effect at once; the others take a restart
LIVE_KEYS = frozenset(
    {
        "posture",
        "trusted_proxies",
        "proxy_header",
        "confirm_peers",
        "rules",
        "ports",
        "never_block",
        "tenants",
        "trials",
        "tiers",
        "policy",
        "governor",
        "kernel",
        "protect_operator",
        "guard",
        "asn_table",
        "asns",
    }
)
ABOUT_FILE = frozenset({"path", "notes"})


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration with the rules it names, both sound."""

    config: Config
    rulebook: Rulebook


def load_all(path: Path | None) -> tuple[Loaded | None, tuple[str, ...]]:
    """Read configuration and rules; return them, or None and everything that is wrong."""
    config, problems = configuration.read_config(path)
    if problems:
        return None, tuple(str(problem) for problem in problems)
    try:
        config = configuration.with_asns(config)
        rulebook, errors = load_rules(configuration.rule_directories(config))
    except ConfigError as error:
        return None, (str(error),)
    if errors:
        return None, tuple(str(error) for error in errors)
    shut = set(config.guard.ports) & ssh_ports(Places().sshd_config)
    if shut:
        return None, (f"guard: {min(shut)} is a port of this host's sshd; take it out of ports",)
    return Loaded(config, rulebook), ()


def load_or_raise(path: Path | None) -> Loaded:
    """Return configuration and rules. Raises InvalidError with everything that is wrong."""
    loaded, errors = load_all(path)
    if loaded is None:
        first, more = errors[0], len(errors) - 1
        raise InvalidError(first, hint=f"and {more} more: see excise check" if more else "")
    return loaded


def in_force(old: Config, new: Config) -> tuple[Config, tuple[str, ...]]:
    """Return what holds after a reload, and the changed keys that wait for a restart."""
    names = [name for name in Config.__dataclass_fields__ if name not in ABOUT_FILE]
    changed = [name for name in names if getattr(old, name) != getattr(new, name)]
    applied = replace(old, **{name: getattr(new, name) for name in changed if name in LIVE_KEYS})
    return applied, tuple(sorted(name for name in changed if name not in LIVE_KEYS))


def refused(errors: tuple[str, ...], rules: int) -> ReloadView:
    """Return the view of a reload that changed nothing; `rules` are those still in force."""
    return ReloadView(applied=False, rules=rules, errors=errors)
