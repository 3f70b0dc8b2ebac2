"""What carries a line: container logs and syslog put a header before it, of any format.

Which one is found out at the first line that is a record, and holds from then on, so that no
client can put a header of its own into a log that has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import msgspec

from excise.decode.base import MAX_LINE_BYTES, Decoder, LineRejectedError, blank, reject
from excise.model.record import Decoded, Record, Reject

#: lines without a record after which it is found out anew
FRUITLESS = 256
#: streams of one log that may have an unfinished line (stdout, stderr)
_MOST_OPEN = 4
_STAMP = rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
#: the container runtime interface: time, stream, P(artial) or F(ull), which tags may follow
_CRI = re.compile(rb"(" + _STAMP + rb") (stdout|stderr) ([PF])(?::[^ ]*)? ")
#: RFC 5424: <pri>version time host app procid msgid structured-data
_SYSLOG = re.compile(
    rb"<[0-9]{1,3}>[1-9][0-9]{0,2} (" + _STAMP + rb")"
    rb" [!-~]{1,255} [!-~]{1,48} [!-~]{1,128} [!-~]{1,32}"
    rb' (?:-|(?:\[[^ =\]"]{1,32}(?: [^ =\]"]{1,32}="(?:[^"\\\]]|\\.)*")*\])+)'
    rb"(?: (?:\xef\xbb\xbf)?|$)"
)
#: RFC 3164, with or without its priority, and as rsyslog writes files
_OLD_SYSLOG = re.compile(
    rb"(?:<[0-9]{1,3}>)?(?:(" + _STAMP + rb")|[JFMASOND][a-z]{2} [ 0-9][0-9] [0-9:]{8}) "
    rb"(?:[0-9A-Za-z_.:-]{1,255} )?[!-9;-Z\\-~]{1,48}(?:\[[0-9]{1,10}\])?: "
)


class _Docker(msgspec.Struct, gc=False):
    """A line of Docker's json-file."""

    log: str
    stream: str
    time: str


@dataclass(frozen=True, slots=True)
class _Carried:
    """A payload, when it was written as far as that is told, and whether more of it follows."""

    payload: bytes
    time: bytes = b""
    open: bool = False
    stream: bytes = b""


_docker = msgspec.json.Decoder(_Docker).decode


def _from_docker(line: bytes) -> _Carried | None:
    if not line.startswith((b'{"log":', b'{"stream":', b'{"time":')):
        return None
    try:
        told = _docker(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    whole = told.log.endswith("\n")
    payload = told.log.removesuffix("\n").encode(errors="replace")
    return _Carried(payload, told.time.encode(), not whole, told.stream.encode())


def _from_cri(line: bytes) -> _Carried | None:
    found = _CRI.match(line)
    if found is None:
        return None
    return _Carried(line[found.end() :], found[1], found[3] == b"P", found[2])


def _from_syslog(line: bytes) -> _Carried | None:
    found = _SYSLOG.match(line) or _OLD_SYSLOG.match(line)
    return None if found is None else _Carried(line[found.end() :], found[1] or b"")


#: by what a line is carried
ENVELOPES: Mapping[str, Callable[[bytes], _Carried | None]] = MappingProxyType(
    {"docker": _from_docker, "cri": _from_cri, "syslog": _from_syslog}
)
NONE = "none"


def look(line: bytes) -> str:
    """Return the name of the envelope that a line seems to have, `none` if it has none."""
    return next((name for name, open_ in ENVELOPES.items() if open_(line)), NONE)


def strip(line: bytes, *, with_time: bool = False) -> bytes:
    """Return a line without its envelope, if it has one."""
    carried = next(filter(None, (open_(line) for open_ in ENVELOPES.values())), None)
    return line if carried is None else _payload(carried, with_time=with_time)


def _payload(carried: _Carried, *, with_time: bool) -> bytes:
    dated = carried.payload[:4].isdigit()
    if with_time and carried.time and not dated:
        return carried.time + b" " + carried.payload
    return carried.payload


@dataclass(slots=True)
class _Parts:
    """Beginnings of lines that were written in parts, bounded."""

    open: dict[bytes, bytes] = field(default_factory=dict)

    def join(self, carried: _Carried) -> _Carried | None:
        """Return the whole line if it ends here. Raises LineRejectedError if it is too long.

        What is too long is kept at its bound until it ends, so that its end is no line.
        """
        whole = self.open.pop(carried.stream, b"") + carried.payload
        if carried.open:
            if len(self.open) < _MOST_OPEN:
                self.open[carried.stream] = whole[: MAX_LINE_BYTES + 1]
            return None
        if len(whole) > MAX_LINE_BYTES:
            raise LineRejectedError("too-long")
        return _Carried(whole, carried.time)


class Enveloped:
    """A decoder whose lines may be carried by something. Fulfils `Decoder`."""

    def __init__(self, inner: Decoder) -> None:
        self.name = inner.name
        self._inner = inner
        self._with_time = bool(getattr(inner, "wants_time", False))
        self._kind = ""
        self._fruitless = 0
        self._parts = _Parts()

    def decode(self, lines: Sequence[bytes]) -> Decoded:
        """Decode whole lines; see `Decoder`."""
        records: list[Record] = []
        rejects: list[Reject] = []
        unknown, at = 0, 0
        while at < len(lines):
            part = lines[at:] if self._kind else lines[at : at + 1]
            decoded = self._decode(part, self._kind or look(part[0]))
            records += decoded.records
            rejects += decoded.rejects
            unknown += decoded.unknown_fields
            at += len(part)
        return Decoded(records, rejects, unknown)

    def _decode(self, lines: Sequence[bytes], kind: str) -> Decoded:
        if kind == NONE:
            decoded = self._inner.decode(lines)
        else:
            payloads, broken = self._open(lines, kind)
            decoded = self._inner.decode(payloads)
            decoded.rejects.extend(broken)
        if decoded.records:
            self._kind, self._fruitless = kind, 0
        else:
            self._fruitless += sum(not blank(line) for line in lines)
            if self._fruitless > FRUITLESS:
                self._kind = ""
        return decoded

    def _open(self, lines: Sequence[bytes], kind: str) -> tuple[list[bytes], list[Reject]]:
        """Return what lines carry; one without an envelope is taken as it is."""
        payloads: list[bytes] = []
        broken: list[Reject] = []
        for line in lines:
            carried = ENVELOPES[kind](line)
            if carried is None:
                payloads.append(line)
                continue
            try:
                whole = self._parts.join(carried)
            except LineRejectedError as error:
                broken.append(reject(line, error.reason))
                continue
            if whole is not None:
                payloads.append(_payload(whole, with_time=self._with_time))
        return payloads, broken
