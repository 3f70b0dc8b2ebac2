r"""A decoder of text lines of a `Pattern`, or of one of several.

Ordinary lines are decoded a batch at a time (`split`); all others one at a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from excise.decode.assemble import Assembler
from excise.decode.base import CONTROL, DecodeContext, LineRejectedError
from excise.decode.batches import decode_batches
from excise.decode.pattern import Pattern, values_of
from excise.decode.split import Splitter
from excise.model.record import Decoded, Record

_ESCAPE = re.compile(rb'\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|([nrtbf"\\/]))')
_SHORT = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
#: from a value as it is written to what it says
Unescape = Callable[[str], str]


class TextDecoder:
    """Decodes lines of the first of `patterns` that fits.

    `quotes`: how many a line has where its writer escapes nothing; one with more is ambiguous.
    """

    def __init__(
        self,
        name: str,
        patterns: Sequence[Pattern],
        context: DecodeContext,
        *,
        unescape: Unescape | None = None,
        fast: bool = True,
        quotes: int | None = None,
    ) -> None:
        self.name = name
        self._patterns = patterns
        self._unescape = unescape or unescaped
        self._quotes = quotes
        self._assembler = Assembler(context)
        self._splitters = [Splitter(p, self._assembler) for p in patterns if fast]

    def decode(self, lines: Sequence[bytes]) -> Decoded:
        """Decode whole lines; see `Decoder`."""
        return decode_batches(lines, self._decode_fast, self._decode_line)

    def _decode_fast(self, lines: Sequence[bytes]) -> tuple[list[Record], int] | None:
        for splitter in self._splitters:
            records = splitter.decode(lines)
            if records is not None:
                return records, 0
        return None

    def _decode_line(self, line: bytes) -> tuple[Record, int]:
        text = as_text(line)
        for pattern in self._patterns:
            if found := pattern.expression.fullmatch(text):
                groups = [g and self._unescape(g) for g in found.groups()]
                return self._assembler.record(values_of(pattern, groups))
        more = self._quotes is not None and text.count('"') > self._quotes
        raise LineRejectedError("ambiguous" if more else "shape")


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
