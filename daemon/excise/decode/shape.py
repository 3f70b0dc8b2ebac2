"""JSON formats as data: which key goes to which slot, and how it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from excise.decode.base import LineRejectedError
from excise.decode.fields import FIELDS, known
from excise.decode.slots import Read, Slot

#: keys from the top of an object to a value; empty: the object itself
Path = tuple[str, ...]
NOT_A_REQUEST = "not-a-request"


@dataclass(frozen=True, slots=True)
class Row:
    """One value of a line: where it stands, which slot it fills, how it is read.

    Where several rows fill a slot the first known value wins. `always`: read even what is absent.
    """

    path: Path
    slot: str
    read: Read | None = None
    always: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """What a JSON format's lines look like.

    `needs`: keys without all of which an object is no request. `known`: keys that are not needed,
    and not counted as unknown either; None where no key is counted.
    """

    rows: tuple[Row, ...]
    needs: frozenset[str] = frozenset()
    known: frozenset[str] | None = None
    _expected: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        used = {row.path[0] for row in self.rows if row.path}
        object.__setattr__(self, "_expected", used | (self.known or frozenset()))

    def slots_of(self, seen: Mapping[str, object]) -> dict[str, object]:
        """Return the known values of an object by slot. Raises LineRejectedError."""
        if not self.needs <= seen.keys():
            raise LineRejectedError(NOT_A_REQUEST)
        raw: dict[str, object] = {}
        for row in self.rows:
            if row.slot in raw:
                continue
            value = find(seen, row.path)
            if row.read is not None and (value is not None or row.always):
                value = row.read(value)
            if value not in (None, "", "-"):
                raw[row.slot] = value
        return raw

    def ignored(self, seen: Mapping[str, object]) -> int:
        """Return how many top-level keys of an object are not looked at."""
        if self.known is None:
            return 0
        return len(seen.keys() - self._expected)


def find(seen: object, path: Path) -> object:
    """Return the value at a path, None where there is none."""
    for key in path:
        if not isinstance(seen, dict):
            return None
        seen = seen.get(key)
    return seen


def record_rows(names: Sequence[str]) -> tuple[Row, ...]:
    """Return rows for keys that are fields of the record."""
    return tuple(Row((name,), name) for name in names if name in FIELDS)


def slot_rows(table: Mapping[str, Slot]) -> tuple[Row, ...]:
    """Return rows for top-level keys, in the order of a table."""
    return tuple(Row((key,), slot.name, slot.read) for key, slot in table.items())


def present(value: object) -> object:
    """Return a value that says something, None otherwise."""
    return value if known(value) else None
