"""Format `alb`: access logs of the AWS Application Load Balancer, as they lie in S3.

The balancer stands between: this host sees packets of the balancer's own addresses, which are not
in the log, so the client is never the peer.
"""

from __future__ import annotations

from collections.abc import Sequence

from excise.decode import slots
from excise.decode.assemble import Assembler
from excise.decode.base import DecodeContext, LineRejectedError
from excise.decode.batches import decode_batches
from excise.decode.pattern import QUOTED, Part, Pattern, Var, compile_pattern, quoted, values_of
from excise.decode.readers import text_or_reject, with_port
from excise.decode.slots import Slot
from excise.decode.textformat import as_text, unescaped
from excise.decode.times import Times
from excise.model.record import Decoded, Record

NAME = "alb"
_KINDS = r"(?:http|https|h2|grpcs|ws|wss)"
#: seconds until the target was reached, until it answered, until the answer was sent
_TIMES = ("_reached", "_answered", "_sent")
#: what follows the trace id, and whatever may be added to it later
_REST = rf'(?: "{QUOTED}"| [^" ]+)*'


def make(context: DecodeContext) -> AlbDecoder:
    """Return a decoder of this format."""
    return AlbDecoder(context)


class AlbDecoder:
    """Decodes format `alb`."""

    name = NAME

    def __init__(self, context: DecodeContext) -> None:
        self._assembler = Assembler(context)
        self._pattern = _pattern(Times(context.zone))

    def decode(self, lines: Sequence[bytes]) -> Decoded:
        """Decode whole lines; see `Decoder`."""
        return decode_batches(lines, lambda _: None, self._decode_line)

    def _decode_line(self, line: bytes) -> tuple[Record, int]:
        found = self._pattern.expression.fullmatch(as_text(line))
        if found is None:
            raise LineRejectedError("shape")
        raw = values_of(self._pattern, [g and unescaped(g) for g in found.groups()])
        reached, answered, sent = (_seconds(raw.pop(name, "")) for name in _TIMES)
        if min(reached, answered, sent) >= 0:
            raw["ttfb"] = round(reached + answered, 6)
            raw["duration"] = round(reached + answered + sent, 6)
        return self._assembler.record(raw | {slots.BEHIND: True})


def _seconds(value: object) -> float:
    text = text_or_reject("duration", value)
    try:
        return float(text or -1)
    except ValueError:
        raise LineRejectedError("type:duration") from None


def _pattern(times: Times) -> Pattern:
    seconds = r"-1|[0-9]{1,9}(?:\.[0-9]{1,9})?"
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
    for name in _TIMES:
        parts += [" ", Var(Slot(name), seconds)]
    for name in ("status", "", "bytes_in", "bytes_out"):
        parts += [" ", Var(Slot(name) if name else None)]
    parts += [' "', quoted(Slot(slots.REQUEST)), '" "', quoted(Slot("user_agent")), '" ']
    parts += [Var(None), " ", Var(Slot("tls")), " ", Var(None)]
    parts += [' "', quoted(Slot("request_id")), '" "', quoted(Slot("sni")), '"', Var(None, _REST)]
    return compile_pattern(parts)


def _plaintext(value: object) -> object:
    return "none" if value in ("http", "ws") else None
