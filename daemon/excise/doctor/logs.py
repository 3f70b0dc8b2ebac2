"""Which logs are there that a first configuration could name, and which of them say most."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from excise.config import InputConfig, JournalConfig
from excise.doctor.filled import answered, shares
from excise.doctor.programs import PROGRAMS, Program
from excise.doctor.sample import Sample, Sampler
from excise.doctor.survey import Survey
from excise.doctor.twice import overlap
from excise.rotation import logs_among

#: the least share of a log's lines that have to be requests
LEAST_SHARE = 0.5
MOST_LOGS = 64
#: names that the shipped configurations give to logs of format `record`
RECORD_NAMES = ("excise.log", "records.log")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A log that could be read. `why_not`: why it is not proposed, `""` where it is."""

    item: InputConfig
    sample: Sample
    program: Program | None = None
    why_not: str = ""

    @property
    def format(self) -> str:
        """The format to write down; of an empty log what its name promises."""
        if self.sample.formats:
            return self.sample.formats[0]
        return "record" if Path(self.item.name).name in RECORD_NAMES else "auto"


def candidates(found: Survey, sampler: Sampler, root: Path = Path("/")) -> list[Candidate]:
    """Return the logs with requests in them, those that say most first.

    Those that tell of the same requests as a better one say so in `why_not`.
    """
    sampled = [
        Candidate(item, sampler.sample(item), program)
        for item, program in (*_files(found, root), *_journals(found))
    ]
    kept = sorted(filter(_has_requests, sampled), key=_worth, reverse=True)
    chosen: list[Candidate] = []
    for one in kept:
        why = next((why for better in chosen if (why := _why_not(one, better))), "")
        chosen.append(Candidate(one.item, one.sample, one.program, why))
    return chosen


def _files(found: Survey, root: Path) -> Iterator[tuple[InputConfig, Program | None]]:
    """Yield what running programs write, then what lies where known programs log."""
    seen: set[str] = set()
    for path, program in _paths(found, root):
        real = os.path.realpath(path)
        if real not in seen and len(seen) < MOST_LOGS and path.isprintable():
            seen.add(real)
            yield InputConfig(Path(path)), program


def _paths(found: Survey, root: Path) -> Iterator[tuple[str, Program]]:
    for one in found.running:
        # A container's paths are its own, and mean something else here.
        for path in logs_in(() if one.elsewhere else one.logs):
            yield path, one.program
    for program in PROGRAMS:
        for pattern in program.logs:
            for path in logs_in(glob(str(root / pattern.lstrip("/")))):
                yield path, program


def logs_in(paths: Iterable[str]) -> list[str]:
    """Return the paths that are logs being written, not rotated ones, and no error logs."""
    given = sorted(set(paths))
    names = set(logs_among([os.path.basename(path) for path in given]))
    return [p for p in given if (name := os.path.basename(p)) in names and "error" not in name]


def _journals(found: Survey) -> Iterator[tuple[InputConfig, Program | None]]:
    for one in found.running:
        if one.unit and not one.elsewhere:
            yield InputConfig(journal=JournalConfig(units=(one.unit,))), one.program


def _has_requests(one: Candidate) -> bool:
    if one.sample.problem:
        return False
    if not one.sample.lines:
        return one.format == "record"
    return bool(one.sample.records) and one.sample.share >= LEAST_SHARE


def _worth(one: Candidate) -> tuple[float, int]:
    """Return how much a log says: fields filled, tokens and accounts above all; then how many."""
    filled = shares(answered(one.sample.records))
    worth = sum(filled.values()) + 4 * filled["output_tokens"] + 2 * filled["account"]
    if not one.sample.lines:
        worth = 2.0  # its name promises the record, and a log in use may keep the promise better
    return worth, len(one.sample.records)


def _why_not(one: Candidate, better: Candidate) -> str:
    if better.why_not:
        return ""
    ours, theirs = one.sample.records, better.sample.records
    if ours and theirs and overlap(ours, theirs).same:
        return f"tells of the same requests as {better.item.name}, which would count twice"
    if one.program is not None and one.program == better.program:
        return f"of the same program as {better.item.name}, and says less: are they other requests?"
    return ""
