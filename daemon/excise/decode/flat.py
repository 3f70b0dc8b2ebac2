"""The fast way for flat JSON objects: a log writer prints every line from one template.

The first line of a batch says which keys there are and of which type. A struct with exactly these
keys and types, all required, decodes the rest. Every key and every text then takes two quotes: as
many as that in all lines together prove that no line has a key twice, however it is spelled.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import msgspec
from msgspec.structs import astuple

from excise.decode.assemble import Assembler
from excise.decode.base import MAX_LINE_BYTES, LineRejectedError
from excise.decode.bytescan import count_byte
from excise.decode.columns import Columns, OddError, each_once, merge
from excise.decode.fields import BOUNDS
from excise.decode.readers import ONLY_WITH
from excise.decode.shape import Row, Shape
from excise.model.record import Record

_PLANS_KEPT = 64
_MOST_KEYS = 256
_QUOTE = ord('"')
_KEY = re.compile(r"[ !#-\[\]-~]{1,128}")
#: JSON types of values in a template; objects and lists have no place in a flat line
_SCALARS = (str, int, float, bool, type(None))
Plan = tuple[tuple[str, type], ...]


@dataclass(frozen=True, slots=True)
class _Template:
    """How to decode lines of one template.

    `columns`: slot, and the rows that fill it as (place of the key, row), the best first.
    `kinds`: of columns of one type. `quotes`: of a line, where all of its types are exact; None
    where some texts may be null.
    """

    decode: Callable[[bytes], Any]
    columns: tuple[tuple[str, tuple[tuple[int, Row], ...]], ...]
    kinds: Mapping[str, type]
    keys: int
    quotes: int | None
    ignored: int


class Flat:
    """Learns templates from lines, and decodes batches by them."""

    def __init__(self, shape_for: Callable[[tuple[str, ...]], Shape], to: Assembler) -> None:
        self._shape_for = shape_for
        self._columns = Columns(to)
        self._exact: dict[Plan, _Template | None] = {}
        self._loose: dict[tuple[str, ...], _Template | None] = {}
        self._plan = msgspec.json.Decoder(dict[str, Any]).decode

    def decode(self, lines: Sequence[bytes]) -> tuple[list[Record], int] | None:
        """Return the records of lines that are all ordinary, else None."""
        if max(map(len, lines)) > MAX_LINE_BYTES:
            return None
        try:
            plan = tuple((key, type(value)) for key, value in self._plan(lines[0]).items())
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if not {kind for _, kind in plan}.issubset(_SCALARS):
            return None
        return self._by(self._exactly(plan), lines) or self._by(self._loosely(plan), lines)

    def _by(
        self, template: _Template | None, lines: Sequence[bytes]
    ) -> tuple[list[Record], int] | None:
        if template is None or _may_repeat_keys(template, lines):
            return None
        try:
            values = list(zip(*map(astuple, map(template.decode, lines)), strict=True))
            columns = {
                slot: _column(values, rows, template.kinds.get(slot))
                for slot, rows in template.columns
            }
        except (msgspec.DecodeError, UnicodeDecodeError, OddError, LineRejectedError):
            return None
        records = self._columns.records(columns, len(lines), template.kinds)
        return None if records is None else (records, template.ignored * len(lines))

    def _exactly(self, plan: Plan) -> _Template | None:
        if plan not in self._exact:
            if len(self._exact) >= _PLANS_KEPT:
                self._exact.clear()
            shape = self._shape_for(tuple(key for key, _ in plan))
            self._exact[plan] = _learn(plan, shape, exact=True)
        return self._exact[plan]

    def _loosely(self, plan: Plan) -> _Template | None:
        """Return a template of the same keys in which texts and numbers may be null."""
        keys = tuple(key for key, _ in plan)
        if keys not in self._loose:
            if len(self._loose) >= _PLANS_KEPT:
                self._loose.clear()
            self._loose[keys] = _learn(plan, self._shape_for(keys), exact=False)
        return self._loose[keys]


def _may_repeat_keys(template: _Template, lines: Sequence[bytes]) -> bool:
    """Whether lines may have more keys than the template."""
    blob = b"\n".join(lines)
    if template.quotes is not None:
        return count_byte(blob, _QUOTE) != template.quotes * len(lines)
    if not blob.isascii() or any(spread in blob for spread in (b'" ', b'"\t', b'"\r', b"\\u")):
        return True
    return blob.count(b'":') != template.keys * len(lines) or blob.count(b"\n") >= len(lines)


def _column(
    values: Sequence[Sequence[object]], rows: tuple[tuple[int, Row], ...], kind: type | None
) -> Sequence[object]:
    """Return the column of a slot, of the rows that fill it."""
    return reduce(merge, (each_once(values[at], row.read, kind) for at, row in rows))


def _learn(plan: Plan, shape: Shape, *, exact: bool) -> _Template | None:
    """Return the template of a line's keys and types; None where the shape looks deeper."""
    types = dict(plan)
    if len(types) > _MOST_KEYS or not all(map(_KEY.fullmatch, types)):
        return None  # no template that anybody wrote, and none that a struct can be made for
    rows = [row for row in shape.rows if row.path[:1] and row.path[0] in types]
    deeper = any(row.always or not row.path for row in shape.rows) or any(r.path[1:] for r in rows)
    if deeper or not rows or not shape.needs <= types.keys():
        return None
    places = {key: i for i, key in enumerate(types)}
    names = {key: f"f{i}" for key, i in places.items()}
    used = {row.path[0]: row.slot for row in rows}
    struct = msgspec.defstruct(
        "Line",
        [(names[k], _type(kind, used.get(k), exact=exact)) for k, kind in plan],
        rename={name: key for key, name in names.items()},
        gc=False,
    )
    slots = dict.fromkeys(row.slot for row in rows)
    columns = tuple(
        (slot, tuple((places[r.path[0]], r) for r in rows if r.slot == slot)) for slot in slots
    )
    # One key that is read as it is, or as a text that stays one, keeps its type.
    kinds = {
        slot: _type(types[row.path[0]], slot, exact=True)
        for slot, ((_, row), *others) in columns
        if exact and not others and (row.read is None or row.read in ONLY_WITH)
    }
    texts = sum(kind is str for kind in types.values())
    return _Template(
        decode=msgspec.json.Decoder(struct).decode,
        columns=columns,
        kinds={slot: kind for slot, kind in kinds.items() if kind is not None},
        keys=len(types),
        quotes=2 * (len(types) + texts) if exact else None,
        ignored=shape.ignored(dict.fromkeys(types)),
    )


def _type(kind: type, slot: str | None, *, exact: bool) -> Any:  # noqa: ANN401 - a type's own type
    """Return the type that a struct demands of a value which is of `kind` in the first line."""
    if not exact:
        return msgspec.Raw if slot is None else str | int | float | None
    if kind is int and slot is not None and slot in BOUNDS:
        return BOUNDS[slot][0]
    return kind if kind is not type(None) else None
