"""A decoder of one JSON object per line, of any `Shape`.

Ordinary lines of a flat log are decoded a batch at a time into a struct made for their keys
(`flat`); all others one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from excise.decode.assemble import Assembler
from excise.decode.base import MAX_LINE_BYTES, DecodeContext, LineRejectedError
from excise.decode.batches import decode_batches
from excise.decode.columns import Columns
from excise.decode.flat import Flat
from excise.decode.jsonline import parse_object
from excise.decode.shape import Shape
from excise.model.record import Decoded, Record

#: keys of a line to the shape that fits them
ShapeFor = Callable[[tuple[str, ...]], Shape]


class JsonDecoder:
    """Decodes lines of one shape, or of a shape that depends on the keys that are there."""

    def __init__(self, name: str, shape: Shape | ShapeFor, context: DecodeContext) -> None:
        self.name = name
        self._shape_for: ShapeFor = shape if callable(shape) else lambda _: shape
        self._assembler = Assembler(context)
        self._flat = Flat(self._shape_for, self._assembler)
        self._columns = Columns(self._assembler)

    def decode(self, lines: Sequence[bytes]) -> Decoded:
        """Decode whole lines; see `Decoder`."""
        return decode_batches(lines, self._decode_fast, self._decode_line)

    def _decode_fast(self, lines: Sequence[bytes]) -> tuple[list[Record], int] | None:
        """Decode lines of one template; or else each alone, and settle them together."""
        if not all(lines) or max(map(len, lines)) > MAX_LINE_BYTES:
            return None
        done = self._flat.decode(lines)
        if done is not None:
            return done
        raws, ignored = [], 0
        try:
            for line in lines:
                seen = parse_object(line)
                shape = self._shape_for(tuple(seen))
                raws.append(shape.slots_of(seen))
                ignored += shape.ignored(seen)
        except LineRejectedError:
            return None
        names = dict.fromkeys(name for raw in raws for name in raw)
        columns = {name: [raw.get(name) for raw in raws] for name in names}
        records = self._columns.records(columns, len(lines))
        return None if records is None else (records, ignored)

    def _decode_line(self, line: bytes) -> tuple[Record, int]:
        seen = parse_object(line)
        shape = self._shape_for(tuple(seen))
        record, ignored = self._assembler.record(shape.slots_of(seen))
        return record, shape.ignored(seen) + ignored
