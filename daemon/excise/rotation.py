"""Which names are rotated logs, of which log, and which of them is older. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

#: endings of compressed logs that can be read (`excise.unpack`)
PACKED = (".gz", ".zst")
#: endings of compressed logs that cannot, and are no logs to follow either
FOREIGN = (".bz2", ".xz", ".lz4", ".zip", ".Z")

_DATE = r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}[0-9T:._-]*"
#: logrotate's `log.1` and (`dateext`) `log-20260101`, kubelet's `0.log.20260101-120000`
_BEHIND = re.compile(rf"(?P<base>.+?)(?:\.(?P<number>[0-9]{{1,6}})|[.-](?P<date>{_DATE}))")
#: logrotate's `extension`, Caddy's and lumberjack's `access-2026-01-02T03-04-05.000.log`
_WITHIN = re.compile(
    rf"(?P<stem>.+?)(?:\.(?P<number>[0-9]{{1,6}})|[.-](?P<date>{_DATE}))(?P<ext>\.[A-Za-z]\w*)"
)

Age = tuple[int, str, int]
YOUNGEST: Age = (2, "", 0)


@dataclass(frozen=True, slots=True)
class LogName:
    """A file name taken apart: the log it belongs to, and its age among that log's files.

    A smaller `age` is older. `rotated` says that it is not the log itself; `apart`, that its
    ending tells so (`.1`, `-20260101`, `.gz`) and not only the middle of the name, which may as
    well be an application's own naming.
    """

    base: str
    age: Age = YOUNGEST
    packed: bool = False
    apart: bool = False

    @property
    def rotated(self) -> bool:
        """Whether this is an earlier part of the log, not the log that is written."""
        return self.age != YOUNGEST or self.packed


def parse_name(name: str) -> LogName:
    """Take a file name apart. A name like no rotated log's is a log of its own."""
    stem = next((name.removesuffix(end) for end in PACKED if name.endswith(end)), name)
    packed = stem != name
    if found := _BEHIND.fullmatch(stem):
        return LogName(found["base"], _age(found), packed, apart=True)
    if found := _WITHIN.fullmatch(stem):
        return LogName(found["stem"] + found["ext"], _age(found), packed, apart=packed)
    return LogName(stem, YOUNGEST, packed, apart=packed)


def rotated_names(names: Iterable[str], base: str) -> list[str]:
    """Return the rotated siblings of the log `base`, oldest first.

    Where a sibling is there both plain and packed (it is just being compressed), the plain one is
    taken: the other may be half written.
    """
    found: dict[Age, tuple[bool, str]] = {}
    for name in names:
        parsed = parse_name(name)
        if parsed.base != base or not parsed.rotated:
            continue
        here = found.get(parsed.age)
        if here is None or here[0] > parsed.packed:
            found[parsed.age] = (parsed.packed, name)
    return [name for _, (_, name) in sorted(found.items())]


def logs_among(names: Iterable[str], known: Iterable[str] = ()) -> list[str]:
    """Return the names that are logs to follow, in order: not rotated, not compressed.

    A name with a date or number in its middle is a log of its own, unless the log that it would
    be rotated from is there as well, or is one of those `known` before.
    """
    names = sorted(names)
    bases = {*names, *known}
    return [name for name in names if not _earlier(name, bases)]


def _earlier(name: str, bases: set[str]) -> bool:
    parsed = parse_name(name)
    if name.endswith(FOREIGN) or parsed.apart:
        return True
    return parsed.rotated and parsed.base in bases


def _age(found: re.Match[str]) -> Age:
    if found["number"] is None:
        return (0, re.sub(r"\D", "", found["date"]), 0)
    return (1, "", -int(found["number"]))
