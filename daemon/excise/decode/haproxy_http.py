"""Format `haproxy`: HAProxy's `option httplog` and `option httpslog`.

`%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr
%hs %{+Q}r`, and for httpslog ` %[fc_err]/…/%[ssl_fc_is_resumed] %[ssl_fc_sni]/%sslv/%sslc`.
HAProxy writes quotes and bytes that are not printable as `#XX`, in captured headers braces and
bars too. The time is the begin of the request, in the zone of the host that wrote it.
"""

from __future__ import annotations

import re

from excise.decode import slots
from excise.decode.base import DecodeContext
from excise.decode.pattern import Part, Var, compile_pattern
from excise.decode.readers import milliseconds, or_plaintext, whole, with_port
from excise.decode.slots import Slot
from excise.decode.textformat import TextDecoder
from excise.decode.times import Times

NAME = "haproxy"
_ESCAPE = re.compile(rb"#([0-9A-Fa-f]{2})")
_COUNT = r"\+?-?[0-9]+"
_CAPTURED = r"(?: \{[^{}\"]*\}){0,2}"


def make(context: DecodeContext) -> TextDecoder:
    """Return a decoder of this format."""
    http = _parts(Times(context.zone))
    https: tuple[Part, ...] = (
        *http,
        " ",
        Var(None, r"[^ \"/]+/[^ \"/]*/[^ \"/]*/[^ \"/]*/[^ \"/]*"),
        " ",
        Var(Slot("sni"), r"[^ \"/]*"),
        "/",
        Var(Slot("tls", or_plaintext), r"[^ \"/]*"),
        "/",
        Var(None, r"[^ \"/]*"),
    )
    patterns = [compile_pattern(http), compile_pattern(https)]
    return TextDecoder(NAME, patterns, context, unescape=unescaped, escape="#", fast=False)


def _parts(times: Times) -> tuple[Part, ...]:
    return (
        Var(Slot(slots.REMOTE, with_port)),
        " [",
        Var(Slot(slots.START, times.common), r'[^\]" ]*'),
        "] ",
        Var(None),  # frontend
        " ",
        Var(None),  # backend/server
        " ",
        Var(None, r"-?[0-9]+/-?[0-9]+/-?[0-9]+"),
        "/",
        Var(Slot("ttfb", milliseconds), r"-?[0-9]+"),
        "/",
        Var(Slot("duration", milliseconds), _COUNT),
        " ",
        Var(Slot("status", whole), r"-?[0-9]{1,3}"),
        " ",
        Var(Slot("bytes_out", _size), r"\+?[0-9]{1,15}"),
        " ",
        Var(None, r'[^" ]+ [^" ]+ [^" ]{4} [0-9/+]+ [0-9]+/[0-9]+' + _CAPTURED),
        ' "',
        Var(Slot(slots.REQUEST), r'[^"]*'),
        '"',
    )


def _size(value: object) -> object:
    """Return a size; `+` says that it grew after the line was written (option logasap)."""
    return value.removeprefix("+") if isinstance(value, str) else value


def unescaped(text: str) -> str:
    """Undo `#XX`; what is then no UTF-8 is replaced."""
    if "#" not in text:
        return text
    raw = _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), text.encode(errors="replace"))
    return raw.decode(errors="replace")
