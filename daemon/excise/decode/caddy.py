"""Format `caddy`: Caddy's JSON access log.

From 2.7 on `client_ip` is what Caddy made of its own `trusted_proxies`; otherwise the client is
walked to from `remote_ip`. Caddy blanks Authorization unless `log_credentials` is set.
"""

from __future__ import annotations

from excise.decode import slots
from excise.decode.base import DecodeContext
from excise.decode.jsonformat import JsonDecoder
from excise.decode.readers import credential, first, joined, or_plaintext
from excise.decode.shape import Row, Shape
from excise.decode.slots import Read
from excise.decode.times import Times

NAME = "caddy"
_UNNEEDED = frozenset({"level", "logger", "msg", "request", "resp_headers"})
#: what the upstream may tell of a request in response headers, by the record's field
_TOLD = (
    ("account", "Account"),
    ("org", "Org"),
    ("model", "Model"),
    ("input_tokens", "Input-Tokens"),
    ("output_tokens", "Output-Tokens"),
    ("reasoning_tokens", "Reasoning-Tokens"),
    ("cached_tokens", "Cached-Tokens"),
)


def make(context: DecodeContext) -> JsonDecoder:
    """Return a decoder of this format."""
    times = Times(context.zone)
    rows = (
        Row(("ts",), "ts", times.iso),
        Row(("request", "client_ip"), slots.REMOTE),
        Row(("request", "remote_ip"), slots.REMOTE),
        Row(("request", "remote_ip"), slots.SOCKET),
        Row(("request", "remote_port"), slots.SOCKET_PORT),
        _header("X-Forwarded-For", slots.FORWARDED_FOR, joined),
        _header("Forwarded", slots.FORWARDED, joined),
        Row(("request", "method"), "method"),
        Row(("request", "uri"), "path"),
        Row(("status",), "status"),
        Row(("bytes_read",), "bytes_in"),
        Row(("size",), "bytes_out"),
        Row(("duration",), "duration"),
        Row(("request", "tls", "version"), "tls", or_plaintext, always=True),
        Row(("request", "tls", "proto"), "alpn"),
        Row(("request", "tls", "server_name"), "sni"),
        _header("User-Agent", "user_agent", first),
        *(row for field, name in _TOLD for row in _told(field, name)),
        _header("Authorization", slots.CLAIM, credential),
        _header("X-Api-Key", slots.CLAIM, credential),
        Row(("user_id",), slots.CLAIM),
    )
    return JsonDecoder(
        NAME, Shape(rows, frozenset({"request", "status", "ts"}), _UNNEEDED), context
    )


def _header(name: str, slot: str, read: Read) -> Row:
    return Row(("request", "headers", name), slot, read)


def _told(field: str, name: str) -> tuple[Row, ...]:
    return tuple(
        Row(("resp_headers", f"X-{prefix}{name}"), field, first)
        for prefix in ("Excise-", "Llm-", "")
    )
