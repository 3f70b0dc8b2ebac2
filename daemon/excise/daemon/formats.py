"""From a format to a decoder; `auto` decides at the first lines that arrive."""

from __future__ import annotations

from collections.abc import Sequence

from excise.decode.base import DecodeContext, Decoder, blank, reject
from excise.decode.registry import AUTO, Format, detect, make_decoder
from excise.errors import FormatError
from excise.model.record import Decoded

UNKNOWN_FORMAT = "unknown-format"


class AutoDecoder:
    """A Decoder that becomes that of the first format which can read the lines.

    Until then every line is a reject with the reason `unknown-format`.
    """

    def __init__(self, context: DecodeContext) -> None:
        self._context = context
        self._found: Decoder | None = None
        self.name = AUTO

    def decode(self, lines: Sequence[bytes]) -> Decoded:
        """Decode whole lines, finding out the format first."""
        if self._found is None:
            try:
                self._found = make_decoder(detect(lines, self._context), self._context)
            except FormatError:
                rejects = [reject(line, UNKNOWN_FORMAT) for line in lines if not blank(line)]
                return Decoded([], rejects)
            self.name = self._found.name
        return self._found.decode(lines)


def decoder_for(choice: str | Format, context: DecodeContext) -> Decoder:
    """Return the decoder of a format, `auto` included. Raises FormatError."""
    return AutoDecoder(context) if choice == AUTO else make_decoder(choice, context)
