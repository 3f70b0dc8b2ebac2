"""The formats by name, and finding out which one a file is in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from excise.decode import nginx_json, nginx_text
from excise.decode.base import DecodeContext, Decoder, blank
from excise.decode.record import RecordDecoder
from excise.errors import FormatError

#: name to factory, one row per format; where several fit equally well the first is taken
FORMATS: Mapping[str, Callable[[DecodeContext], Decoder]] = MappingProxyType(
    {
        "record": RecordDecoder,
        "nginx-json": nginx_json.make,
        "nginx": nginx_text.make,
    }
)
#: what stands for "look at the first lines" where a format is named
AUTO = "auto"
DETECT_LINES = 100


def make_decoder(name: str, context: DecodeContext) -> Decoder:
    """Return a decoder of the named format. Raises FormatError if there is none."""
    factory = FORMATS.get(name)
    if factory is None:
        raise FormatError(f"no format is called {name!r}", hint=f"one of {', '.join(FORMATS)}")
    return factory(context)


def detect(lines: Sequence[bytes], context: DecodeContext) -> str:
    """Return the name of the format that rejects the fewest of the first lines.

    Raises FormatError if no format can read any of them.
    """
    sample = [line for line in lines if not blank(line)][:DETECT_LINES]
    rejects = {
        name: len(decoded.rejects)
        for name, factory in FORMATS.items()
        if (decoded := factory(context).decode(sample)).records
    }
    if not rejects:
        raise FormatError(
            f"none of the formats {', '.join(FORMATS)} can read the first {len(sample)} lines",
            hint="name the input's format, or write the record",
        )
    return min(rejects, key=rejects.__getitem__)
