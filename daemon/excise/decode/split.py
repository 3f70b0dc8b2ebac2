"""The fast way for text lines: a batch is cut at quotes and at blanks into columns.

It is taken only where every line has exactly the quotes and blanks that the format has, so that
nothing a client sends can move a column; an escape, a stray blank or an odd number makes the
batch odd.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, repeat
from operator import contains

from excise.decode.assemble import Assembler
from excise.decode.base import LineRejectedError
from excise.decode.bytescan import count_controls
from excise.decode.columns import NO_KINDS, Columns, OddError, each_once, merge
from excise.decode.pattern import BARE, FREE, QUOTED, WORD, Part, Pattern, Var
from excise.decode.readers import ONLY_WITH
from excise.decode.slots import Slot
from excise.model.record import Record

#: expressions that hold for every value free of quotes and backslashes, inside quotes or outside
_ANY = frozenset({WORD, FREE, BARE, QUOTED})


@dataclass(frozen=True, slots=True)
class _Word:
    """One blank-separated word of a stretch outside quotes: text around at most one value.

    `fits`: what the value has to be, beside free of quotes and blanks.
    """

    before: str
    slot: Slot | None
    after: str
    words: int = 1
    literal: bool = False
    fits: re.Pattern[str] | None = None

    @property
    def exact(self) -> bool:
        """Whether any word is a value as it stands."""
        return not (self.before or self.after or self.fits)

    def strip(self, value: object) -> object:
        """Return a value without the text around it. Raises OddError where it is another one."""
        if not isinstance(value, str):
            raise OddError
        inner = value.removeprefix(self.before).removesuffix(self.after)
        if len(inner) + len(self.before) + len(self.after) != len(value):
            raise OddError
        if self.fits is not None and not self.fits.fullmatch(inner):
            raise OddError
        return inner


@dataclass(frozen=True, slots=True)
class _Plan:
    """`quoted`: the values in quotes. `outer`, `middle`: words outside of quotes.

    `outer` is what stands before the first quote and after the last, put together.
    """

    quoted: tuple[_Word, ...]
    outer: tuple[_Word, ...]
    middle: tuple[tuple[_Word, ...], ...]


class Splitter:
    """Decodes batches of one pattern."""

    def __init__(self, pattern: Pattern, to: Assembler) -> None:
        self._plan = None if pattern.fixed else _plan(pattern.parts)
        self._texts = _texts(self._plan) if self._plan else NO_KINDS
        self._columns = Columns(to)

    def decode(self, lines: Sequence[bytes]) -> list[Record] | None:
        """Return the records of lines that are all ordinary, else None."""
        blob = b" \n".join(lines)
        if self._plan is None or b"\\" in blob or b"" in lines:
            return None
        # The newlines between lines are the only control bytes, so no line holds one.
        if count_controls(blob) != len(lines) - 1:
            return None
        try:
            cut = _cut(self._plan, blob.decode("ascii"), len(lines))
            columns: dict[str, Sequence[object]] = {}
            for slot, values in sorted(cut, key=_rank):
                read = each_once(values, slot.read, str)
                columns[slot.name] = merge(columns.get(slot.name), read)
        except (UnicodeDecodeError, OddError, LineRejectedError):
            return None
        return self._columns.records(columns, len(lines), self._texts)


def _texts(plan: _Plan) -> Mapping[str, type]:
    """Return the slots of which all values stay text."""
    words = chain(plan.quoted, plan.outer, *plan.middle)
    used = [word.slot for word in words if word.slot]
    read = {slot.name for slot in used if slot.read is not None and slot.read not in ONLY_WITH}
    return {slot.name: str for slot in used if slot.name not in read}


def _rank(column: tuple[Slot, Sequence[object]]) -> int:
    return column[0].rank


def _cut(plan: _Plan, text: str, n: int) -> list[tuple[Slot, Sequence[object]]]:
    """Return columns by slot. Raises OddError unless each line is cut as the plan says.

    Lines come with a blank and a newline between them, and hold no newline of their own: so any
    piece between blanks that holds one begins with it.
    """
    columns: list[tuple[Slot, Sequence[object]]] = []
    per_line = 2 * len(plan.quoted)
    outer = text
    if per_line:
        parts = text.split('"')
        if len(parts) != per_line * n + 1:
            raise OddError
        # One newline in each stretch between two lines' quotes, and so none anywhere else.
        if not all(map(contains, parts[per_line:-1:per_line], repeat("\n"))):
            raise OddError
        outer = "".join(parts[0::per_line])
        for i, word in enumerate(plan.quoted):
            columns += _values(word, parts[2 * i + 1 :: per_line])
        for i, words in enumerate(plan.middle):
            stretch = " \n".join(parts[2 * i + 2 :: per_line][:n])
            columns += _words(words, stretch, n)
    return columns + _words(plan.outer, outer, n)


def _words(words: tuple[_Word, ...], text: str, n: int) -> list[tuple[Slot, Sequence[object]]]:
    """Return the values in a stretch outside quotes, of each line."""
    count = sum(word.words for word in words)
    cut = text.split(" ")
    if len(cut) != count * n:
        raise OddError
    starts = "".join(cut[::count]).split("\n")
    if len(starts) != n:
        raise OddError
    cut[::count] = starts
    columns: list[tuple[Slot, Sequence[object]]] = []
    at = 0
    for word in words:
        column = cut[at::count]
        for more in range(1, word.words):
            column = list(map(" ".join, zip(column, cut[at + more :: count], strict=True)))
        at += word.words
        if word.literal:
            if column.count(word.before) != n:
                raise OddError
        else:
            columns += _values(word, column)
    return columns


def _values(word: _Word, column: Sequence[object]) -> list[tuple[Slot, Sequence[object]]]:
    """Return the values of a column by slot, if they are looked at. Raises OddError."""
    inner = column if word.exact else each_once(column, word.strip, str)
    return [] if word.slot is None else [(word.slot, inner)]


def _plan(parts: Sequence[Part]) -> _Plan | None:
    """Return how lines of a pattern are cut, None if that is not possible."""
    if any(isinstance(part, Var) and part.also for part in parts):
        return None
    stretches: list[list[Part]] = [[]]
    for part in parts:
        if isinstance(part, Var):
            stretches[-1].append(part)
            continue
        first, *rest = part.split('"')
        stretches[-1].append(first)
        stretches += [[piece] for piece in rest]
    if len(stretches) % 2 == 0:
        return None
    quoted = [_quoted(stretch) for stretch in stretches[1::2]]
    outside = stretches[0::2]
    outer = outside[0] + (outside[-1] if len(outside) > 1 else [])
    words = [_to_words(stretch) for stretch in [outer, *outside[1:-1]]]
    if None in quoted or None in words:
        return None
    found = [one for one in quoted if one is not None]
    outer_words, *middle = [tuple(one) for one in words if one is not None]
    return _Plan(tuple(found), outer_words, tuple(middle))


def _quoted(stretch: list[Part]) -> _Word | None:
    """Return a quoted value that is one variable; None for anything else."""
    pieces = [part for part in stretch if part != ""]
    if len(pieces) != 1 or isinstance(pieces[0], str):
        return None
    return _Word("", pieces[0].slot, "", fits=_fits(pieces[0]))


def _fits(part: Var) -> re.Pattern[str] | None:
    """Return what a value has to be beside free of quotes and backslashes, None: nothing more."""
    return None if part.expression in _ANY else re.compile(part.expression, re.DOTALL)


def _to_words(stretch: list[Part]) -> list[_Word] | None:
    """Return the words of a stretch; None if two values stand in one word."""
    words = [_Word("", None, "", literal=True)]
    for part in stretch:
        if isinstance(part, Var):
            if not words[-1].literal:
                return None
            words[-1] = _Word(words[-1].before, part.slot, "", part.words, fits=_fits(part))
            continue
        first, *rest = part.split(" ")
        last = words[-1]
        if last.literal:
            words[-1] = _Word(last.before + first, None, "", literal=True)
        else:
            words[-1] = replace(last, after=last.after + first)
        words += [_Word(piece, None, "", literal=True) for piece in rest]
    return words
