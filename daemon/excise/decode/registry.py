"""The formats by name, and finding out which one a file is in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from excise.decode import (
    alb,
    caddy,
    custom_json,
    envoy_ai_gateway,
    envoy_json,
    envoy_text,
    haproxy_http,
    haproxy_json,
    litellm,
    nginx_json,
    nginx_text,
    otel,
    traefik_clf,
    traefik_json,
    uvicorn,
)
from excise.decode.base import DecodeContext, Decoder, blank
from excise.decode.custom_json import FieldPath
from excise.decode.envelope import Enveloped, strip
from excise.decode.record import RecordDecoder
from excise.errors import FormatError

#: name to factory, one row per format; where several fit equally well the first is taken
FORMATS: Mapping[str, Callable[[DecodeContext], Decoder]] = MappingProxyType(
    {
        "record": RecordDecoder,
        nginx_json.NAME: nginx_json.make,
        nginx_text.NAME: nginx_text.make,
        envoy_ai_gateway.NAME: envoy_ai_gateway.make,
        envoy_json.NAME: envoy_json.make,
        envoy_text.NAME: envoy_text.make,
        haproxy_http.NAME: haproxy_http.make,
        haproxy_json.NAME: haproxy_json.make,
        caddy.NAME: caddy.make,
        traefik_json.NAME: traefik_json.make,
        traefik_clf.NAME: traefik_clf.make,
        litellm.NAME: litellm.make,
        otel.NAME: otel.make,
        uvicorn.NAME: uvicorn.make,
        alb.NAME: alb.make,
    }
)
#: what stands for "look at the first lines" where a format is named
AUTO = "auto"
#: a mapping of keys that the configuration gives
JSON = custom_json.NAME
DETECT_LINES = 100


@dataclass(frozen=True, slots=True)
class Format:
    """A format with what the configuration says of it beside its name.

    `template`: nginx's `log_format` string. `fields`: the mapping of format `json`. `zone`: name
    of the time zone of times that are written without one, `""` for the host's.
    """

    name: str
    template: str = ""
    fields: tuple[FieldPath, ...] = ()
    zone: str = ""

    def __str__(self) -> str:
        return self.name


def make_decoder(choice: str | Format, context: DecodeContext) -> Decoder:
    """Return a decoder of a format, by name or as configured, of lines that anything may carry.

    Raises FormatError if there is none of that name, or none as it is configured.
    """
    return Enveloped(_bare(Format(choice) if isinstance(choice, str) else choice, context))


def _bare(choice: Format, context: DecodeContext) -> Decoder:
    name = choice.name
    if name == nginx_text.NAME and choice.template:
        return nginx_text.make_configured(choice.template, context)
    if name == JSON and choice.fields:
        return custom_json.make(choice.fields, context)
    factory = FORMATS.get(name)
    if factory is None:
        raise FormatError(f"no format is called {name!r}", hint=f"one of {', '.join(FORMATS)}")
    return factory(context)


def detect(
    lines: Sequence[bytes], context: DecodeContext, configured: Sequence[Format] = ()
) -> str | Format:
    """Return the format that rejects the fewest of the first lines.

    Among those the one with the fewest fields that it does not know; where that is the same, one
    that is `configured` before all others. Raises FormatError if no format can read any of them.
    """
    sample = [line for line in lines if not blank(line)][:DETECT_LINES]
    found: dict[str | Format, tuple[int, int]] = {}
    candidates: list[str | Format] = [*configured, *FORMATS]
    for name in candidates:
        decoder = _bare(Format(name) if isinstance(name, str) else name, context)
        timed = bool(getattr(decoder, "wants_time", False))
        decoded = decoder.decode([strip(line, with_time=timed) for line in sample])
        if decoded.records:
            found[name] = len(decoded.rejects), decoded.unknown_fields
    if not found:
        raise FormatError(
            f"none of the formats {', '.join(FORMATS)} can read the first {len(sample)} lines",
            hint="name the input's format, or write the record",
        )
    return min(found, key=found.__getitem__)
