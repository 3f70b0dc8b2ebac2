"""Tables of the page. Cells are HTML already: whoever fills them has escaped what was logged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from excise.report.text import safe

#: states that have a colour
KNOWN = ("drop", "deny", "throttle", "enforced", "sees", "blind")


def rows(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table; a head that ends in `:n` is a column of numbers, an empty one of meters."""
    kinds = ["n" if h.endswith(":n") else "" if h else "m" for h in heads]
    top = "".join(
        f'<th class="{k}">{safe(h.removesuffix(":n"))}</th>'
        for h, k in zip(heads, kinds, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f'<td class="{k}">{c}</td>' for c, k in zip(line, kinds, strict=True))
        + "</tr>"
        for line in lines
    )
    if not body:
        return '<p class="none">None.</p>'
    table = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{table}</div>'


def tag(state: str, more: str = "") -> str:
    """Return a state as a coloured label."""
    kind = state if state in KNOWN else "other"
    return f'<span class="tag {kind}">{safe(f"{state} {more}".strip())}</span>'


def meter(value: float, most: float) -> str:
    """Return a bar whose length is the value's share of the largest."""
    if not value or not most:
        return ""
    size = round(100 * value / most, 1)
    return (
        f'<svg class="bar-of" viewBox="0 0 100 6" preserveAspectRatio="none" height="6">'
        f'<rect class="stopped" width="{size}" height="6" rx="1"/></svg>'
    )
