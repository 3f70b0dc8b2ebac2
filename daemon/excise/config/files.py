"""Finds and reads the configuration file, and the directories of rules it names."""

from __future__ import annotations

import sys
from pathlib import Path

import excise
from excise.config.parse import parse_config
from excise.config.values import DEFAULT_PATH, LOCAL_RULES, SHIPPED_RULES, Config
from excise.errors import ConfigError, InvalidError
from excise.yamlread import read_yaml_file


def load(path: Path | None = None) -> Config:
    """Return the configuration in `path`, or in the default file where None.

    A missing default file means defaults, with a note; a missing `path` is an error. Raises
    ConfigError for the first problem, saying how many more there are.
    """
    config, errors = read_config(path)
    if errors:
        first, more = errors[0], len(errors) - 1
        extra = f"and {more} more; `excise check` lists them all" if more else ""
        hint = "; ".join(part for part in (first.hint, extra) if part)
        raise ConfigError(first.message, first.mark, hint)
    return config


def read_config(path: Path | None = None) -> tuple[Config, list[ConfigError]]:
    """Return the configuration and everything that is wrong with it."""
    if path is None and not _exists(DEFAULT_PATH):
        note = f"no configuration at {DEFAULT_PATH}: defaults hold"
        return Config(notes=(note,)), []
    file = path or DEFAULT_PATH
    try:
        document = read_yaml_file(file)
    except InvalidError as error:
        hint = error.hint or "name another file with --config"
        return Config(), [ConfigError(error.message, error.mark, hint)]
    return parse_config(document, file)


def rule_directories(config: Config) -> tuple[Path, ...]:
    """Return the directories to load rules from.

    Of the two standard directories either may be missing: `/etc/excise/rules.d` is then left
    out, and `/usr/share/excise/rules` is looked for where this installation keeps it (see
    `shipped_rules`). Any other directory that does not exist raises ConfigError.
    """
    found: list[Path] = []
    for directory in config.rules:
        if directory.is_dir():
            found.append(directory)
        elif directory == SHIPPED_RULES:
            found.append(shipped_rules())
        elif directory != LOCAL_RULES:
            raise ConfigError(f"rules: {directory} is no directory", None, "create it or remove it")
    return tuple(dict.fromkeys(found))


def shipped_rules() -> Path:
    """Return the directory of the rules that came with this installation.

    In order: `/usr/share/excise/rules` (a package), `share/excise/rules` under the Python prefix
    (a wheel in a virtual environment), `rules/` beside `daemon/` (a checkout or an editable
    install). Raises ConfigError where there is none.
    """
    package = Path(excise.__file__).resolve().parent
    checkout = package.parent.parent
    places = [SHIPPED_RULES, Path(sys.prefix) / "share" / "excise" / "rules"]
    if (checkout / "pyproject.toml").is_file() and package.parent.name == "daemon":
        places.append(checkout / "rules")
    for place in places:
        if place.is_dir():
            return place
    looked = ", ".join(map(str, places))
    raise ConfigError("the shipped rules are missing", None, f"looked in {looked}")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return True  # it may not be looked at: let reading it say why
