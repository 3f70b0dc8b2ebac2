"""What the daemon would make of the last lines of each input: through its own decoder."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from excise.config import Config, InputConfig
from excise.daemon.gather import find
from excise.daemon.readers import make_decoder
from excise.decode.base import blank
from excise.doctor.tail import SAMPLE_BYTES, journal_lines, last_lines
from excise.errors import SourceError
from excise.model.record import Record

#: files of a pattern that are looked at, and the least of each
MOST_FILES = 16
LEAST_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Sample:
    """The last lines of an input, decoded. `formats` are those recognised.

    `problem` says why nothing could be looked at, where that is so.
    """

    name: str
    configured: str
    formats: tuple[str, ...] = ()
    lines: int = 0
    records: tuple[Record, ...] = ()
    rejects: Counter[str] = field(default_factory=Counter)
    files: int = 0
    problem: str = ""

    @property
    def format(self) -> str:
        """The format that most of it is in, the configured one where none was recognised."""
        return self.formats[0] if self.formats else self.configured

    @property
    def share(self) -> float:
        """Share of the decoded among what is a record or a reject."""
        return len(self.records) / max(1, len(self.records) + self.rejects.total())


class Sampler:
    """Decodes samples; accounts are hashed with a key of this run alone, and told to nobody."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._key = secrets.token_bytes(32)

    def sample(self, one: InputConfig) -> Sample:
        """Look at an input; what cannot be looked at says why."""
        try:
            return self._decode(one, self._parts(one))
        except SourceError as error:
            return Sample(one.name, one.format_name, problem=str(error))

    def _parts(self, one: InputConfig) -> list[list[bytes]]:
        """Return the lines of each log of an input. Raises SourceError."""
        if one.journal is not None:
            return [journal_lines(one.journal)]
        if one.file is None:
            raise SourceError("its lines can only be seen when they come, by the daemon")
        if not one.pattern:
            return [last_lines(one.file)]
        files = list(islice(find(one), MOST_FILES))
        bytes_each = max(LEAST_BYTES, SAMPLE_BYTES // max(1, len(files)))
        return list(_readable(files, bytes_each))

    def _decode(self, one: InputConfig, parts: list[list[bytes]]) -> Sample:
        formats: Counter[str] = Counter()
        records: list[Record] = []
        rejects: Counter[str] = Counter()
        for lines in parts:
            decoder = make_decoder(one.format, self._config, self._key)
            decoded = decoder.decode(lines)
            records += decoded.records
            rejects.update(reject.reason for reject in decoded.rejects)
            if decoded.records:
                formats[decoder.name] += len(decoded.records)
        return Sample(
            one.name,
            one.format_name,
            tuple(name for name, _ in formats.most_common()),
            sum(not blank(line) for lines in parts for line in lines),
            tuple(records),
            rejects,
            len(parts),
        )


def _readable(files: Iterable[Path], bytes_each: int) -> Iterable[list[bytes]]:
    """Yield the lines of the files that can be read. Raises SourceError if none can."""
    problem: SourceError | None = None
    some = False
    for file in files:
        try:
            lines = last_lines(file, bytes_each)
        except SourceError as error:
            problem = error
            continue
        some = True
        yield lines
    if problem is not None and not some:
        raise problem
