"""Durations as people write them: `90s`, `1h`, `1h30m`, `2d`. Shared by files, API and CLI."""

from __future__ import annotations

import re

from excise.errors import InvalidError

UNITS_S = {
    "ms": 0.001,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86_400.0,
    "w": 604_800.0,
}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(min|ms|[smhdw])")
_WHOLE = re.compile(rf"{_PART.pattern}(?: *{_PART.pattern})*")
#: ten years; what is meant for good says so by naming no duration at all
MAX_S = 3650 * 86_400.0


def parse_duration(text: str) -> float:
    """Return seconds for `100ms`, `90s`, `1h30m`, `2d`, `1w`; above 0, at most ten years.

    Raises InvalidError for anything else; a bare number has no unit and is refused.
    """
    if not _WHOLE.fullmatch(text.strip(" ")):
        raise InvalidError(f"{text!r} is not a duration", hint="write it like 90s, 15m, 1h30m, 2d")
    seconds = sum(float(number) * UNITS_S[unit] for number, unit in _PART.findall(text))
    if not 0 < seconds <= MAX_S:
        raise InvalidError(f"duration {text!r} is out of range", hint="above 0s, at most 3650d")
    return seconds


def format_duration(seconds: float) -> str:
    """Return `seconds` in its two largest units: `45s`, `2m5s`, `1h30m`, `2d`."""
    left = max(0, round(seconds))
    parts: list[str] = []
    for unit in ("d", "h", "m", "s"):
        count, left = divmod(left, int(UNITS_S[unit]))
        if count or parts:
            parts.append(f"{count}{unit}" if count else "")
    return "".join(parts[:2]) or "0s"
