r"""Text formats: literal text and variables, compiled into a strict expression.

A value inside quotes holds no bare quote, and any backslash in it takes the next character along.
A value outside quotes holds neither quote nor blank, unless its own expression says otherwise. So
a line is read in one way or in none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from excise.decode.slots import Slot

#: what stands between quotes
QUOTED = r'[^"\\]*(?:\\.[^"\\]*)*'
#: what stands between quotes where nothing is escaped
BARE = r'[^"]*'
#: one word outside quotes
WORD = r'[^" ]*'
#: any text outside quotes; at most one such value may stand between two quotes
FREE = r'[^"]*?'


@dataclass(frozen=True, slots=True)
class Var:
    """A value in a line; `slot` None: it is not looked at. `words`: of how many it consists.

    `also`: another slot that the value fills.
    """

    slot: Slot | None
    expression: str = WORD
    words: int = 1
    also: Slot | None = None


Part: TypeAlias = str | Var


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled format: `slots` are (group of `expression`, slot), by rank.

    `fixed`: slots that every line of the format fills alike.
    """

    parts: tuple[Part, ...]
    expression: re.Pattern[str]
    slots: tuple[tuple[int, Slot], ...]
    fixed: tuple[tuple[str, object], ...] = ()


def compile_pattern(parts: Sequence[Part], **fixed: object) -> Pattern:
    """Return the compiled form of a format's parts."""
    source = ""
    found: list[tuple[int, Slot]] = []
    groups = 0
    for part in parts:
        if isinstance(part, str):
            source += re.escape(part)
        elif part.slot is None:
            source += f"(?:{part.expression})"
        else:
            source += f"({part.expression})"
            found += [(groups, slot) for slot in (part.slot, part.also) if slot is not None]
            groups += 1
    by_rank = tuple(sorted(found, key=lambda pair: pair[1].rank))
    expression = re.compile(source + r"\s*", re.DOTALL)
    return Pattern(tuple(parts), expression, by_rank, tuple(fixed.items()))


def quoted(slot: Slot | None) -> Var:
    """Return a value that stands between quotes."""
    return Var(slot, QUOTED)


def values_of(pattern: Pattern, groups: Sequence[str | None]) -> dict[str, object]:
    """Return the known values of a line's groups by slot. Raises LineRejectedError."""
    raw: dict[str, object] = dict(pattern.fixed)
    for group, slot in pattern.slots:
        value = groups[group]
        if value is None or slot.name in raw:
            continue
        read = slot.read(value) if slot.read is not None else value
        if read not in (None, "", "-"):
            raw[slot.name] = read
    return raw
