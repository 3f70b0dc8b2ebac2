"""Syslog messages taken apart: the header of RFC 5424 or RFC 3164, and what was sent. Pure.

Nothing in a payload can pass for a header: the header is matched from the first byte on, and what
follows it is taken as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PRI = rb"<(?:[0-9]|[1-9][0-9]|1[0-8][0-9]|19[01])>"
_SD_NAME = rb'[^ =\]"\x00-\x20]{1,32}'
_SD_PARAM = rb" " + _SD_NAME + rb'="(?:[^"\\\]]|\\.)*+"'
_SD = rb"(?:-|(?:\[" + _SD_NAME + rb"(?:" + _SD_PARAM + rb")*+\])++)"
#: RFC 5424: version, time stamp, host, application, process, message id, structured data
_RFC5424 = re.compile(
    _PRI + rb"1 (?:-|[0-9]\S{0,63}) (?P<host>\S{1,255}) (?P<tag>\S{1,48}) \S{1,128} \S{1,32} "
    + _SD + rb"(?: (?:\xef\xbb\xbf)?(?P<payload>.*))?",
    re.DOTALL,
)  # fmt: skip
_BSD_TIME = rb"[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8}"
_ISO_TIME = rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,20}(?:Z|[+-][0-9:]{4,6})"
_TIME = rb"(?:" + _BSD_TIME + rb"|" + _ISO_TIME + rb")"
#: RFC 3164 as it is written: host and tag may be left out (nginx: `nohostname`), and a tag ends
#: with a colon, or else it is no tag
_RFC3164 = re.compile(
    rb"(?P<pri>" + _PRI + rb")?" + _TIME
    + rb" (?:(?P<host>[\w.:-]{0,254}[\w.-]) )?(?P<tag>[\w./-]{1,64})(?:\[[^\]\s]{0,32}\])?: ?"
    + rb"(?P<payload>.*)",
    re.DOTALL | re.ASCII,
)  # fmt: skip
_UNTAGGED = re.compile(_PRI + rb"(?:" + _TIME + rb" )?(?P<payload>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SyslogMessage:
    """What a syslog message says, and who says to have sent it; empty where it does not say."""

    payload: bytes
    host: bytes = b""
    tag: bytes = b""


def parse_message(message: bytes) -> SyslogMessage | None:
    """Take a syslog message apart; None: it has no syslog header.

    A header of RFC 3164 may lack its priority, as in the files that syslog daemons write; then a
    tag has to be there.
    """
    found = _RFC5424.fullmatch(message) or _RFC3164.fullmatch(message)
    if found:
        return SyslogMessage(found["payload"] or b"", _said(found["host"]), _said(found["tag"]))
    if found := _UNTAGGED.fullmatch(message):
        return SyslogMessage(found["payload"])
    return None


def payload_of(message: bytes) -> bytes:
    """Return what a syslog message carries; one without a header carries itself."""
    parsed = parse_message(message)
    return message if parsed is None else parsed.payload


def _said(field: bytes | None) -> bytes:
    return b"" if field in {None, b"-"} else field or b""
