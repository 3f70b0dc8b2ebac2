"""Format `uvicorn`: access lines of uvicorn, and so of vLLM and of LiteLLM's proxy.

`INFO:     192.0.2.7:52782 - "POST /v1/chat/completions HTTP/1.1" 200 OK`. There is no time in
it: the line must carry one, from a logging configuration with `%(asctime)s`, or from what carries
the line (a container's log, journald, syslog). uvicorn percent-encodes the path and leaves the
query as it is: quotes in it mean nothing, since no target holds a blank. The address is the
peer's, or what `--forwarded-allow-ips` made of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from excise.decode import slots
from excise.decode.base import DecodeContext, blank
from excise.decode.pattern import Pattern
from excise.decode.readers import with_port
from excise.decode.shape import NOT_A_REQUEST
from excise.decode.slots import Slot
from excise.decode.textformat import TextDecoder
from excise.decode.times import Times
from excise.model.record import Decoded

NAME = "uvicorn"
_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:]{8}(?:[.,][0-9]{1,9})?(?:Z|[+-][0-9]{2}:?[0-9]{2})?"
_COLOUR = re.compile(rb"\x1b\[[0-9;]{0,12}m")
#: time; anything a logging configuration puts before the address; address; request; status
_LINE = re.compile(
    rf"(?:\[?({_TIME})\]?[ \t]+)?(?:\([^()\"]{{1,60}}\) )?(?:[\w.:\[\]-]{{1,60}}[ \t-]+){{0,4}}?"
    r'(unix:|[0-9A-Fa-f.:\[\]]{2,60}) - "([^" ]{1,32} [^ ]+ HTTP/[0-9.]{1,3}|[^"]*)"'
    r" ([0-9]{3})(?: [ A-Za-z\'-]{0,40})?\s*"
)


def make(context: DecodeContext) -> UvicornDecoder:
    """Return a decoder of this format."""
    return UvicornDecoder(context)


class UvicornDecoder:
    """Decodes format `uvicorn`."""

    name = NAME
    #: the time of what carries a line goes before it
    wants_time = True

    def __init__(self, context: DecodeContext) -> None:
        said = (
            Slot("ts", Times(context.zone).iso),
            Slot(slots.REMOTE, with_port),
            Slot(slots.REQUEST),
            Slot("status"),
        )
        pattern = Pattern((), _LINE, tuple(enumerate(said)))
        self._text = TextDecoder(NAME, [pattern], context, escape="", fast=False, why=_why)

    def decode(self, lines: Sequence[bytes]) -> Decoded:
        """Decode whole lines; see `Decoder`."""
        return self._text.decode([_plain(line) if b"\x1b" in line else line for line in lines])


def _plain(line: bytes) -> bytes:
    """Return a line without colours, unless there is nothing else."""
    plain = _COLOUR.sub(b"", line)
    return line if blank(plain) else plain


def _why(text: str) -> str:
    """Return why a line is none: other messages of the server are told from broken ones."""
    return "shape" if ' - "' in text or text.count('"') > 2 else NOT_A_REQUEST
