"""Format `traefik`: Traefik's access log in the Common Log Format, with its own columns behind.

The first column is X-Forwarded-For as it arrived where there is one, and the address of the peer
is then not in the line: such a client is one behind a proxy that nobody names.
"""

from __future__ import annotations

from excise.decode import slots
from excise.decode.base import DecodeContext
from excise.decode.pattern import FREE, Part, Var, compile_pattern, quoted
from excise.decode.readers import milliseconds
from excise.decode.slots import Slot
from excise.decode.textformat import TextDecoder
from excise.decode.times import Times

NAME = "traefik"
_CHAIN = r"[0-9A-Fa-f:.\[\]]+(?:, ?[0-9A-Za-z_:.\[\]]+)+"


def make(context: DecodeContext) -> TextDecoder:
    """Return a decoder of this format."""
    times = Times(context.zone)
    chain = Var(Slot(slots.FORWARDED_FOR), _CHAIN)
    patterns = [
        compile_pattern(_parts(Var(Slot(slots.REMOTE)), times)),
        compile_pattern(_parts(chain, times), behind=True),
    ]
    return TextDecoder(NAME, patterns, context)


def _parts(client: Var, times: Times) -> tuple[Part, ...]:
    return (
        client,
        " - ",
        Var(Slot(slots.CLAIM), FREE),
        " [",
        Var(Slot("ts", times.common), r'[^\]" ]* [^\]" ]*', words=2),
        '] "',
        quoted(Slot(slots.REQUEST)),
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
