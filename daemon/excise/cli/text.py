"""Text for people: tables, times, numbers. Pure but for the question whether to colour.

Names come from logs that strangers write: control characters are shown, never sent.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

COLOURS = {"red": "31", "green": "32", "yellow": "33", "bold": "1"}
ACTION_COLOURS = {"drop": "red", "deny": "red", "throttle": "yellow"}


def printable(text: str) -> str:
    r"""Return `text` with every control character as an escape such as `\x1b`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def json_text(raw: bytes) -> str:
    r"""Return JSON that means the same, with every control character as `\u009b`."""
    text = raw.decode()
    if text.isprintable():
        return text
    # outside of strings compact JSON holds nothing that is not printable
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def moment(ts: float | None) -> str:
    """Return epoch seconds as `2026-01-31T23:59:59Z`, `-` for None and for 0 (never)."""
    if not ts:
        return "-"
    try:
        return datetime.fromtimestamp(ts, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{ts:.0f}"


def number(value: float) -> str:
    """Return `4,120`, `61.25`, `0.0513`: grouped, and no digits that say nothing."""
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.2f}".rstrip("0").rstrip(".") if abs(value) >= 1 else f"{value:.3g}"


def count(n: int, one: str, many: str = "") -> str:
    """Return `1 rule`, `2 rules`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def size(n: int) -> str:
    """Return `512 B`, `20.5 KiB`, `3.2 MiB`."""
    value, unit = float(n), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{n:,} B" if unit == "B" else f"{value:.1f} {unit}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: str = "") -> str:
    """Return aligned columns, two spaces apart; heads named in `right` align to the right."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    ends = set(right.split())

    def line(row: Sequence[str]) -> str:
        parts = [
            cell.rjust(width) if head in ends else cell.ljust(width)
            for cell, width, head in zip(row, widths, heads, strict=True)
        ]
        return "  ".join(parts).rstrip()

    return "\n".join([line([head.upper() for head in heads]), *map(line, cells)])


def may_colour() -> bool:
    """Whether standard output is a terminal and nobody said no (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def paint(text: str, colour: str) -> str:
    """Return `text` coloured where that is welcome."""
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if may_colour() else text
