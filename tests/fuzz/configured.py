"""Formats that a configuration gives, beside those that have a name, and lines of theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.writers import common, dumps, hexed, iso, request_line

from excise.decode.custom_json import FieldPath
from excise.decode.registry import Format
from excise.model.record import Record

LOG_FORMAT = (
    '$remote_addr:$remote_port - $remote_user [$time_local] "$request" $status $bytes_sent'
    ' "$http_x_forwarded_for" "$http_user_agent" rt=$request_time $upstream_header_time'
    " $ssl_protocol/$ssl_cipher"
)
LOG_FORMAT_JSON = (
    'log_format x escape=json \'{"t":"$time_iso8601","who":{"ip":"$remote_addr"},\''
    '\'"st":$status,"rt":$request_time,"uht":"$upstream_header_time",\''
    '\'"line":"$request","ua":"$http_user_agent"}\';'
)
FIELDS = (
    FieldPath("ts", (("at",),), time="epoch_ms"),
    FieldPath("client", (("who", "ip"), ("ip",))),
    FieldPath("x_forwarded_for", (("who", "via"),)),
    FieldPath("path", (("path",),)),
    FieldPath("status", (("status",),)),
    FieldPath("duration", (("took",),), unit="us"),
    FieldPath("user_agent", (("headers", "User-Agent"),)),
    FieldPath("prompt", (("hashes",),)),
)
CONFIGURED: Mapping[str, Format] = {
    "nginx: log_format": Format("nginx", LOG_FORMAT),
    "nginx: log_format, json": Format("nginx", LOG_FORMAT_JSON),
    "json: fields": Format("json", fields=FIELDS),
}


def log_format(r: Record) -> str:
    return (
        f'{r.client}:{r.client_port} - - [{common(r.ts)} +0000] "{hexed(request_line(r))}"'
        f' {r.status} {r.bytes_out} "-" "{hexed(r.user_agent)}" rt={r.duration:.3f}'
        f" 0.{r.status}, {r.ttfb:.3f} {r.tls}/TLS_AES_128_GCM_SHA256"
    )


def log_format_json(r: Record) -> str:
    told = {"t": iso(r.ts), "who": {"ip": r.client}, "st": r.status, "rt": r.duration}
    return dumps(told | {"uht": "-, -", "line": request_line(r), "ua": r.user_agent})


def json_fields(r: Record) -> str:
    told = {"at": r.ts * 1000, "who": {"ip": r.client}, "path": r.path, "status": r.status}
    headers = {"User-Agent": [r.user_agent], "Accept": ["*/*"]}
    return dumps(told | {"took": round(r.duration * 1e6), "headers": headers, "hashes": ["0a"]})


CONFIGURED_WRITERS: Mapping[str, Callable[[Record], str]] = {
    "nginx: log_format": log_format,
    "nginx: log_format, json": log_format_json,
    "json: fields": json_fields,
}
