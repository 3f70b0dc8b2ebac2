"""Format `envoy`: Envoy's default text format.

Envoy escapes nothing in it. A quote that a client sends in a header looks like the end of a
column, so a line with more quotes than columns is rejected as `ambiguous`: nobody can say what it
means. The peer's address is not in it either; the last hop of X-Forwarded-For is the one that
Envoy appended (`use_remote_address: true`), so that is taken for the peer.
"""

from __future__ import annotations

from excise.decode import slots
from excise.decode.base import DecodeContext
from excise.decode.pattern import BARE, WORD, Var, compile_pattern
from excise.decode.readers import milliseconds
from excise.decode.slots import Slot
from excise.decode.textformat import TextDecoder
from excise.decode.times import Times

NAME = "envoy"
#: quotes of the default format: request, XFF, agent, request id, authority, upstream
_QUOTES = 12


def make(context: DecodeContext) -> TextDecoder:
    """Return a decoder of this format."""
    times = Times(context.zone)
    parts = (
        "[",
        Var(Slot(slots.START, times.iso), r'[^\]" ]*'),
        '] "',
        Var(Slot(slots.REQUEST), BARE),
        '" ',
        Var(Slot("status")),
        " ",
        Var(None),  # response flags
        " ",
        Var(Slot("bytes_in")),
        " ",
        Var(Slot("bytes_out")),
        " ",
        Var(Slot("duration", milliseconds)),
        " ",
        Var(None, WORD),  # x-envoy-upstream-service-time: the upstream's own word
        ' "',
        Var(Slot(slots.FORWARDED_FOR), BARE),
        '" "',
        Var(Slot("user_agent"), BARE),
        '" "',
        Var(Slot("request_id"), BARE),
        '" "',
        Var(None, BARE),
        '" "',
        Var(None, BARE),
        '"',
    )
    return TextDecoder(NAME, [compile_pattern(parts)], context, escape="", why=_why)


def _why(text: str) -> str:
    """Return why a line is none: one with more quotes than columns can be read in several ways."""
    return "ambiguous" if text.count('"') > _QUOTES else "shape"
