"""Text inside the page: names come from logs that strangers write, so nothing is taken as it is."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

NO_BREAK = "\N{NO-BREAK SPACE}"


def safe(text: object) -> str:
    """Return text for HTML, also inside attributes; control and direction characters as escapes."""
    return escape(
        "".join(
            c
            if c.isprintable() or c == NO_BREAK
            else c.encode("unicode_escape", "backslashreplace").decode()
            for c in str(text)
        )
    )


def short(value: float) -> str:
    """Return `950`, `12.3 k`, `4.56 M`: three digits that say something."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{NO_BREAK}{unit}"
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.3g}"


def grouped(value: float) -> str:
    """Return `12,345`."""
    return f"{value:,.0f}"


def percent(part: float, whole: float) -> str:
    """Return a share such as `12.3 %`; a dash where there is no whole."""
    if not whole:
        return "\N{EN DASH}"
    return f"{100 * part / whole:.3g}{NO_BREAK}%"


def moment(ts: float | None, form: str = "%Y-%m-%d %H:%M") -> str:
    """Return epoch seconds in UTC, or the number where no calendar has it."""
    if ts is None:
        return "\N{EN DASH}"
    try:
        return datetime.fromtimestamp(ts, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        return f"{ts:.0f}"


def span(seconds: float) -> str:
    """Return a length of time in its two largest units."""
    left, parts = round(seconds), []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        n, left = divmod(left, size)
        if n:
            parts.append(f"{n}{NO_BREAK}{unit}")
    return " ".join(parts[:2]) or f"0{NO_BREAK}s"
