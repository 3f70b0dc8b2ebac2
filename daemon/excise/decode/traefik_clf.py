r"""Format `traefik`: Traefik's access log in the Common Log Format, with its own columns behind.

The first column is X-Forwarded-For as it arrived where there is one, and the address of the peer
is then not in the line: such a client is one behind a proxy that nobody names.

Traefik (3.7) puts a backslash before each quote of a header, so that ` "` always opens a column,
and escapes nothing else: a header may end in a backslash, and user name, method and query hold
quotes as they are. So a line is read from what a client cannot write: the time, of which there may
be one; the last protocol before a status and a size; the columns at the end. A user name that a
client puts into an absolute URL may hold newlines, and with them whole lines: docs/trust.md.
"""

from __future__ import annotations

import re
from dataclasses import replace

from excise.decode import slots
from excise.decode.base import DecodeContext
from excise.decode.pattern import FREE, Part, Pattern, Var, compile_pattern, quoted
from excise.decode.readers import milliseconds
from excise.decode.slots import Slot
from excise.decode.textformat import TextDecoder
from excise.decode.times import Times

NAME = "traefik"
_CHAIN = r"[0-9A-Fa-f:.\[\]]+(?:, ?[0-9A-Za-z_:.\[\]]+)+"
_ONE = r"[^\", ]*"
_REQUEST = r"[^\"]* HTTP/[0-9](?:\.[0-9])?"
_MOMENT = r"[0-9]{2}/[A-Z][a-z]{2}/[0-9:]{13} [+-][0-9]{4}"
#: behind the user name; once in a line
_BEGIN = rf' \[{_MOMENT}\] "'
_ONCE = f"(?!(?:.*?{_BEGIN}){{2}})"
#: what follows the client; each atomic group ends where nothing but Traefik can have ended it
_AFTER_CLIENT = (
    rf' - (?>(.*?) \[({_MOMENT})\] ")'
    r'(?>(.* HTTP/[0-9](?:\.[0-9])?)" ([^" ]*) ([^" ]*) ")'
    r'(?>[^"]*(?:(?<=\\)"[^"]*)*?" ")'
    r'([^"]*(?:(?<=\\)"[^"]*)*?)" [^" ]* "[^"]*" "[^"]*" ([0-9]+)ms\s*'
)


def make(context: DecodeContext) -> TextDecoder:
    """Return a decoder of this format."""
    times = Times(context.zone)
    peer, chain = Var(Slot(slots.REMOTE), _ONE), Var(Slot(slots.FORWARDED_FOR), _CHAIN)
    patterns = [_pattern(peer, times), _pattern(chain, times, behind=True)]
    return TextDecoder(NAME, patterns, context, unescape=_unescaped, why=_why)


def _pattern(client: Var, times: Times, **fixed: object) -> Pattern:
    source = f"{_ONCE}({client.expression}){_AFTER_CLIENT}"
    plain = compile_pattern(_parts(client, times), **fixed)
    return replace(plain, expression=re.compile(source, re.DOTALL))


def _parts(client: Var, times: Times) -> tuple[Part, ...]:
    """Return the parts of a line in which no client has written a quote."""
    return (
        client,
        " - ",
        Var(Slot(slots.CLAIM), FREE),
        " [",
        Var(Slot("ts", times.common), _MOMENT, words=2),
        '] "',
        Var(Slot(slots.REQUEST), _REQUEST),
        '" ',
        Var(Slot("status")),
        " ",
        Var(Slot("bytes_out")),
        ' "',
        quoted(None),
        '" "',
        quoted(Slot("user_agent")),
        '" ',
        Var(None),
        ' "',
        quoted(None),
        '" "',
        quoted(None),
        '" ',
        Var(Slot("duration", milliseconds), r"[0-9]+"),
        "ms",
    )


def _unescaped(text: str) -> str:
    return text.replace('\\"', '"')


def _why(text: str) -> str:
    """Return why a line is none: with two times in it, it can be read in two ways."""
    return "ambiguous" if len(re.findall(_BEGIN, text)) > 1 else "shape"
