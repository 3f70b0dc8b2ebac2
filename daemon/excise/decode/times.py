"""Dates and times as logs write them, to epoch seconds. Times without a zone need one told."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from excise.decode.base import LineRejectedError
from excise.decode.fields import known, timestamp, within_times

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_KEPT = 4096
#: 23/Nov/2026:14:37:26[.123][ +0100]
_COMMON = re.compile(
    r"([0-9]{2})/([A-Z][a-z]{2})/([0-9]{4}):([0-9]{2}):([0-9]{2}):([0-9]{2})(\.[0-9]{1,9})?"
    r"(?: ([+-])([0-9]{2})([0-9]{2}))?"
)
#: 2026-11-23 14:37:26.123 or with a comma; a zone may follow, with a colon or without
_ISO = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2})(?:[.,]([0-9]{1,9}))?"
    r"\s?(Z|z|UTC|[+-][0-9]{2}:?[0-9]{2})?"
)


class Times:
    """Reads times; a bounded cache, since many lines fall into one second."""

    __slots__ = ("_known", "_zone")

    def __init__(self, zone: tzinfo = UTC) -> None:
        self._zone = zone
        self._known: dict[str, float] = {}

    def common(self, value: object) -> float:
        """Return epoch seconds of `23/Nov/2026:14:37:26 +0100`, as web servers log it.

        Without an offset it is local time; a fraction may follow the seconds. Raises
        LineRejectedError.
        """
        if not isinstance(value, str):
            raise LineRejectedError("type:ts")
        found = self._known.get(value)
        if found is not None:
            return found
        if len(value) > 20 and value[20] == ".":  # milliseconds: the second is what repeats
            digits = value[21:]
            if not (digits.isascii() and digits.isdecimal() and len(digits) < 10):
                raise LineRejectedError("type:ts")
            return _plus(self.common(value[:20]), digits)
        return self._keep(value, _read_common(value, self._zone))

    def iso(self, value: object) -> object:
        """Return epoch seconds of a number, or of an ISO date and time; local without a zone.

        Raises LineRejectedError.
        """
        if isinstance(value, str) and value[19:20] == "." and value[-1] == "Z":
            # Milliseconds and UTC, as most write it: the second is what repeats.
            whole, digits = self._known.get(f"{value[:19]} Z"), value[20:-1]
            if whole is not None and digits.isascii() and digits.isdecimal() and len(digits) < 10:
                return _plus(whole, digits)
        if not known(value):
            return None
        found = _ISO.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            return timestamp(value)
        second, fraction, zone = found.groups()
        name = f"{second} {zone}"
        whole = self._known.get(name)
        if whole is None:
            try:
                moment = datetime.fromisoformat(second)
            except ValueError:
                raise LineRejectedError("range:ts") from None
            whole = self._keep(name, within_times(_epoch(moment, self._offset(zone))))
        return _plus(whole, fraction) if fraction else whole

    def _keep(self, name: str, seconds: float) -> float:
        if len(self._known) >= _KEPT:
            self._known.clear()
        self._known[name] = seconds
        return seconds

    def _offset(self, zone: str | None) -> tzinfo:
        if zone is None:
            return self._zone
        if zone in "ZzUTC":
            return UTC
        digits = zone.replace(":", "")
        return _offset(digits[0], digits[1:3], digits[3:])


def _plus(second: float, digits: str) -> float:
    """Return a second with its decimals, to the microsecond, rounded once."""
    return (int(second) * 1_000_000 + int(digits[:6].ljust(6, "0"))) / 1_000_000


def _read_common(text: str, local: tzinfo) -> float:
    found = _COMMON.fullmatch(text)
    if found is None or found[2] not in MONTHS:
        raise LineRejectedError("type:ts")
    zone = _offset(found[8], found[9], found[10]) if found[8] else local
    month = MONTHS.index(found[2]) + 1
    try:
        moment = datetime(
            int(found[3]), month, int(found[1]), int(found[4]), int(found[5]), int(found[6])
        )
    except ValueError:
        raise LineRejectedError("type:ts") from None
    return within_times(_epoch(moment, zone) + float(found[7] or 0))


def _epoch(moment: datetime, zone: tzinfo) -> float:
    try:
        return moment.replace(tzinfo=zone).timestamp()
    except (ValueError, OverflowError):
        raise LineRejectedError("range:ts") from None


def _offset(sign: str, hours: str, minutes: str) -> tzinfo:
    if int(hours) > 23 or int(minutes) > 59:
        raise LineRejectedError("type:ts")
    ahead = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(ahead if sign == "+" else -ahead)
