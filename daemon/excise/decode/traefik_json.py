"""Format `traefik-json`: Traefik's access log in JSON.

`ClientHost` is X-Forwarded-For as it arrived where there is one, so it is walked like that header:
from `ClientAddr`, the socket's peer, and only if that is trusted.
"""

from __future__ import annotations

from excise.decode import slots
from excise.decode.base import DecodeContext
from excise.decode.jsonformat import JsonDecoder
from excise.decode.readers import nanoseconds, tls_version
from excise.decode.shape import Row, Shape
from excise.decode.times import Times

NAME = "traefik-json"
_UNNEEDED = frozenset(
    [
        "ClientPort",
        "GzipRatio",
        "OriginContentSize",
        "OriginDuration",
        "OriginStatus",
        "Overhead",
        "RequestAddr",
        "RequestCount",
        "RequestHost",
        "RequestPort",
        "RequestProtocol",
        "RetryAttempts",
        "RouterName",
        "ServiceAddr",
        "ServiceName",
        "ServiceURL",
        "StartLocal",
        "SpanId",
        "TraceId",
        "TLSCipher",
        "TLSClientSubject",
        "entryPointName",
        "level",
        "msg",
        "time",
    ]
)
_TOLD = (
    ("account", "Account"),
    ("org", "Org"),
    ("model", "Model"),
    ("input_tokens", "Input-Tokens"),
    ("output_tokens", "Output-Tokens"),
    ("reasoning_tokens", "Reasoning-Tokens"),
    ("cached_tokens", "Cached-Tokens"),
)
_PREFIXES = ("X-Excise-", "X-Llm-", "X-")


def make(context: DecodeContext) -> JsonDecoder:
    """Return a decoder of this format."""
    times = Times(context.zone)
    rows = (
        Row(("StartUTC",), slots.START, times.iso),
        Row(("Duration",), "duration", nanoseconds),
        Row(("ClientAddr",), slots.REMOTE),
        Row(("request_X-Forwarded-For",), slots.FORWARDED_FOR),
        Row(("ClientHost",), slots.FORWARDED_FOR),
        Row(("request_Forwarded",), slots.FORWARDED),
        Row(("RequestMethod",), "method"),
        Row(("RequestPath",), "path"),
        Row(("DownstreamStatus",), "status"),
        Row(("RequestContentSize",), "bytes_in"),
        Row(("DownstreamContentSize",), "bytes_out"),
        Row(("TLSVersion",), "tls", tls_version),
        Row(("RequestScheme",), "tls", _plaintext),
        Row(("request_User-Agent",), "user_agent"),
        Row(("request_X-Request-Id",), "request_id"),
        Row(("request_Authorization",), slots.CLAIM, _unredacted),
        Row(("request_X-Api-Key",), slots.CLAIM, _unredacted),
        Row(("ClientUsername",), slots.CLAIM),
        *_told_rows(),
    )
    needs = frozenset({"ClientAddr", "DownstreamStatus", "StartUTC"})
    return JsonDecoder(NAME, Shape(rows, needs, _UNNEEDED), context)


def _told_rows() -> tuple[Row, ...]:
    """Return rows for what the upstream tells in response headers."""
    return tuple(
        Row((f"{side}_{prefix}{name}",), field)
        for field, name in _TOLD
        for side in ("origin", "downstream")
        for prefix in _PREFIXES
    )


def _plaintext(value: object) -> object:
    """Return `none` where the scheme says that there was no TLS."""
    return "none" if value == "http" else None


def _unredacted(value: object) -> object:
    return None if value == "REDACTED" else value
