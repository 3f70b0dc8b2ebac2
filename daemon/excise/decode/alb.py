"""Format `alb`: access logs of the AWS Application Load Balancer, as they lie in S3.

The balancer stands between: this host sees packets of the balancer's own addresses, which are not
in the log, so the client is never the peer.
"""

from __future__ import annotations

from functools import partial

from excise.decode import slots
from excise.decode.base import DecodeContext
from excise.decode.pattern import QUOTED, Part, Pattern, Var, compile_pattern, quoted
from excise.decode.readers import with_port
from excise.decode.slots import Slot
from excise.decode.textformat import TextDecoder
from excise.decode.times import Times

NAME = "alb"
_KINDS = r"(?:http|https|h2|grpcs|ws|wss)"
#: seconds until the target was reached, until it answered, until the answer was sent
_TIMES = " ".join([r"(?:-1|[0-9]{1,9}(?:\.[0-9]{1,9})?)"] * 3)
#: what follows the trace id, and whatever may be added to it later
_REST = rf'(?: "{QUOTED}"| [^" ]+)*'


def make(context: DecodeContext) -> TextDecoder:
    """Return a decoder of this format."""
    return TextDecoder(NAME, [_pattern(Times(context.zone))], context, fast=False)


def _sum(value: object, of: int) -> float | None:
    """Return the sum of the first `of` times; None where one of them is -1, never reached."""
    times = [float(text) for text in str(value).split(" ")]
    return None if min(times) < 0 else round(sum(times[:of]), 6)


def _pattern(times: Times) -> Pattern:
    parts: list[Part] = [
        Var(Slot("tls", _plaintext), _KINDS),
        " ",
        Var(Slot("ts", times.iso)),
        " ",
        Var(None),
        " ",
        Var(Slot(slots.REMOTE, with_port)),
        " ",
        Var(None),
    ]
    parts += [" ", Var(Slot("duration", partial(_sum, of=3)), _TIMES, also=Slot("ttfb", _first))]
    for name in ("status", "", "bytes_in", "bytes_out"):
        parts += [" ", Var(Slot(name) if name else None)]
    parts += [' "', quoted(Slot(slots.REQUEST)), '" "', quoted(Slot("user_agent")), '" ']
    parts += [Var(None), " ", Var(Slot("tls")), " ", Var(None)]
    parts += [' "', quoted(Slot("request_id")), '" "', quoted(Slot("sni")), '"', Var(None, _REST)]
    return compile_pattern(parts, behind=True)


def _first(value: object) -> float | None:
    return _sum(value, of=2)


def _plaintext(value: object) -> object:
    return "none" if value in ("http", "ws") else None
