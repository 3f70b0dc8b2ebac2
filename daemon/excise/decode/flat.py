"""The fast way for flat JSON objects: a log writer prints every line from one template.

The first line of a batch says which keys there are and of which type. A struct with exactly these
keys, all required, decodes the rest; as many `":` as keys then prove that none is there twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import attrgetter
from typing import Any

import msgspec

from excise.decode.assemble import Assembler
from excise.decode.base import MAX_LINE_BYTES, LineRejectedError
from excise.decode.columns import Columns, OddError, each_once, merge
from excise.decode.shape import Row, Shape
from excise.model.record import Record

_PLANS_KEPT = 64
#: JSON types of values that are looked at, and what a struct must accept for them
_TYPES: dict[type, Any] = {
    str: str | None,
    int: int | float | None,
    float: int | float | None,
    type(None): str | int | float | None,
    bool: bool | None,
}
Plan = tuple[tuple[str, type], ...]


@dataclass(frozen=True, slots=True)
class _Template:
    """How to decode lines of one template."""

    decode: Callable[[bytes], Any]
    values: Callable[[Any], tuple[Any, ...]]
    columns: tuple[tuple[str, tuple[int, ...]], ...]
    rows: tuple[Row, ...]
    keys: int
    ignored: int


class Flat:
    """Learns templates from lines, and decodes batches by them."""

    def __init__(self, shape_for: Callable[[tuple[str, ...]], Shape], to: Assembler) -> None:
        self._shape_for = shape_for
        self._columns = Columns(to)
        self._templates: dict[Plan, _Template | None] = {}
        self._dict = msgspec.json.Decoder(dict[str, Any]).decode

    def decode(self, lines: Sequence[bytes]) -> tuple[list[Record], int] | None:
        """Return the records of lines that are all ordinary, else None."""
        blob = b"\n".join(lines)
        if not blob.isascii() or len(blob) > MAX_LINE_BYTES or b"\\u" in blob:
            return None
        try:
            template = self._template(self._dict(lines[0]))
            if template is None or _may_repeat_keys(blob, template.keys, len(lines)):
                return None
            seen = list(map(template.values, map(template.decode, lines)))
            values = list(zip(*seen, strict=True))
            columns = {slot: _merged(template, values, at) for slot, at in template.columns}
        except (msgspec.DecodeError, RecursionError, OddError, LineRejectedError):
            return None
        records = self._columns.records(columns, len(lines))
        return None if records is None else (records, template.ignored * len(lines))

    def _template(self, first: dict[str, Any]) -> _Template | None:
        plan = tuple((key, type(value)) for key, value in first.items())
        if plan not in self._templates:
            if len(self._templates) >= _PLANS_KEPT:
                self._templates.clear()
            self._templates[plan] = _learn(plan, self._shape_for(tuple(first)))
        return self._templates[plan]


def _may_repeat_keys(blob: bytes, keys: int, lines: int) -> bool:
    """Whether lines may have more than `keys` each, with a blank before a colon for instance."""
    spread = any(blank in blob for blank in (b'" ', b'"\t', b'"\r'))
    return spread or blob.count(b'":') != keys * lines or blob.count(b"\n") >= lines


def _merged(
    template: _Template, values: list[tuple[Any, ...]], at: tuple[int, ...]
) -> Sequence[object]:
    """Return the column of a slot, of the columns that fill it."""
    columns = (each_once(values[i], template.rows[i].read) for i in at)
    return reduce(merge, columns)


def _learn(plan: Plan, shape: Shape) -> _Template | None:
    """Return the template of a line's keys and types; None where the shape looks deeper."""
    types = dict(plan)
    if not shape.needs <= types.keys():
        return None
    rows = [row for row in shape.rows if row.path[:1] and row.path[0] in types]
    if any(row.always or not row.path for row in shape.rows) or any(r.path[1:] for r in rows):
        return None
    if any(types[row.path[0]] not in _TYPES for row in rows):
        return None
    used = {row.path[0] for row in rows}
    names = {key: f"f{i}" for i, key in enumerate(types)}
    struct = msgspec.defstruct(
        "Line",
        [(names[key], _TYPES[types[key]] if key in used else msgspec.Raw) for key in types],
        rename={name: key for key, name in names.items()},
        gc=False,
    )
    if not rows or dict in types.values() or list in types.values():
        return None
    get = attrgetter(*(names[row.path[0]] for row in rows))
    slots = dict.fromkeys(row.slot for row in rows)
    columns = tuple(
        (slot, tuple(i for i, row in enumerate(rows) if row.slot == slot)) for slot in slots
    )
    return _Template(
        decode=msgspec.json.Decoder(struct).decode,
        values=get if len(rows) > 1 else lambda line: (get(line),),
        columns=columns,
        rows=tuple(rows),
        keys=len(types),
        ignored=shape.ignored(dict.fromkeys(types)),
    )
