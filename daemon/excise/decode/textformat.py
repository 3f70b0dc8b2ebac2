r"""A decoder of text lines of a `Pattern`, or of one of several.

Ordinary lines are decoded a batch at a time (`split`); all others one at a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from excise.decode.assemble import Assembler
from excise.decode.base import CONTROL, MAX_LINE_BYTES, DecodeContext, LineRejectedError
from excise.decode.batches import decode_batches
from excise.decode.columns import Columns, OddError, each_once, merge
from excise.decode.pattern import Pattern, values_of
from excise.decode.slots import Read
from excise.decode.split import Splitter
from excise.model.record import Decoded, Record

_ESCAPE = re.compile(rb'\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|([nrtbf"\\/]))')
_SHORT = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
#: from a value as it is written to what it says
Unescape = Callable[[str], str]


class TextDecoder:
    """Decodes lines of the first of `patterns` that fits.

    `unescape` undoes what begins with `escape`; `""`: nothing is escaped. `fast`: whether lines
    may be cut at quotes and blanks. `why` says what is wrong with a line that fits no pattern.
    """

    def __init__(
        self,
        name: str,
        patterns: Sequence[Pattern],
        context: DecodeContext,
        *,
        unescape: Unescape | None = None,
        escape: str = "\\",
        fast: bool = True,
        why: Callable[[str], str] = lambda _: "shape",
    ) -> None:
        self.name = name
        self._patterns = patterns
        self._unescape = (unescape or unescaped) if escape else str
        self._escape = escape
        self._why = why
        self._assembler = Assembler(context)
        self._columns = Columns(self._assembler)
        self._splitters = [Splitter(p, self._assembler) for p in patterns if fast]

    def decode(self, lines: Sequence[bytes]) -> Decoded:
        """Decode whole lines; see `Decoder`."""
        return decode_batches(lines, self._decode_fast, self._decode_line)

    def _decode_fast(self, lines: Sequence[bytes]) -> tuple[list[Record], int] | None:
        for splitter in self._splitters:
            records = splitter.decode(lines)
            if records is not None:
                return records, 0
        if not all(lines) or max(map(len, lines)) > MAX_LINE_BYTES:
            return None
        try:
            texts = list(map(as_text, lines))
            for pattern in self._patterns:
                found = list(map(pattern.expression.fullmatch, texts))
                if all(found):
                    escaped = self._escape != "" and any(self._escape in text for text in texts)
                    groups = [m.groups() for m in found if m]
                    columns = _cut(pattern, groups, self._plain if escaped else None)
                    records = self._columns.records(columns, len(lines))
                    return None if records is None else (records, 0)
        except (OddError, LineRejectedError):
            return None
        return None

    def _plain(self, value: object) -> object:
        return self._unescape(value) if isinstance(value, str) else value

    def _decode_line(self, line: bytes) -> tuple[Record, int]:
        text = as_text(line)
        for pattern in self._patterns:
            if found := pattern.expression.fullmatch(text):
                groups = [g and self._unescape(g) for g in found.groups()]
                return self._assembler.record(values_of(pattern, groups))
        raise LineRejectedError(self._why(text))


def _cut(
    pattern: Pattern, groups: Sequence[tuple[str | None, ...]], plain: Read | None
) -> dict[str, Sequence[object]]:
    """Return the columns of lines by slot. Raises OddError, LineRejectedError.

    `plain` undoes escapes, where there are any.
    """
    values = list(zip(*groups, strict=True))
    columns: dict[str, Sequence[object]] = {
        slot: [value] * len(groups) for slot, value in pattern.fixed
    }
    for group, slot in pattern.slots:
        column = each_once(each_once(values[group], plain), slot.read)
        columns[slot.name] = merge(columns.get(slot.name), column)
    return columns


def as_text(line: bytes) -> str:
    """Return a line as text. Raises LineRejectedError for one with control bytes."""
    text = line.decode(errors="replace")
    if not text.isprintable() and line.translate(None, CONTROL) != line:
        raise LineRejectedError("binary")
    return text


def unescaped(text: str) -> str:
    r"""Undo `\xHH`, `\uHHHH`, `\"`, `\\` and the like; what is then no UTF-8 is replaced."""
    if "\\" not in text:
        return text
    return _ESCAPE.sub(_one, text.encode(errors="replace")).decode(errors="replace")


def _one(found: re.Match[bytes]) -> bytes:
    if found[1]:
        return bytes([int(found[1], 16)])
    if found[2]:
        return chr(int(found[2], 16)).encode(errors="replace")
    return _SHORT.get(found[3], found[3])
