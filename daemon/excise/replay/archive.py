"""Which files a replay reads: those named, those in directories, and what continues what."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from excise.errors import SourceError
from excise.rotation import FOREIGN, parse_name

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Chain:
    """Files that one program wrote one after the other, oldest first; or standard input alone."""

    files: tuple[str, ...]


def chains(inputs: Iterable[str]) -> list[Chain]:
    """Return what to read: files, `-` for standard input, and all files below directories.

    The rotated parts of one log are a chain, whatever the order they are named in. Raises
    SourceError for a directory without logs, and for archives that cannot be read.
    """
    found: dict[str, list[str]] = {}
    for name in inputs:
        for file in _below(name) if os.path.isdir(name) else [name]:
            directory, base = os.path.split(file)
            log = file if file == STDIN else os.path.join(directory, parse_name(base).base)
            found.setdefault(log, []).append(file)
    return [Chain(tuple(sorted(files, key=_age))) for files in found.values()]


def _age(file: str) -> tuple[object, ...]:
    return parse_name(os.path.basename(file)).age


def _below(directory: str) -> list[str]:
    files = []
    for at, directories, names in os.walk(directory):
        directories.sort()
        files += [os.path.join(at, name) for name in sorted(names) if not name.startswith(".")]
    if not files:
        raise SourceError(f"{directory} cannot be read: there are no files in it")
    for file in files:
        if Path(file).suffix in FOREIGN:
            advice = "unpack it, or pack it with gzip or zstd"
            raise SourceError(f"{file} cannot be read: no such archive is; {advice}")
    return files
