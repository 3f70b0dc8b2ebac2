"""Lines as gateways write them, from one request: for round-trips, fuzzing and benches.

A request is a Record. `write` makes the line that a gateway would log for it, with each value
escaped as that gateway escapes it; `told` is what such a line can say of the request.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from excise.model.record import Record

CORE = ("ts", "client", "method", "path", "status", "bytes_out")
FULL = (*CORE, "bytes_in", "duration", "user_agent")


def write(name: str, request: Record) -> bytes:
    """Return a request as a line of a format. All that the format can hold must be known."""
    return WRITERS[name](request).encode(errors="surrogateescape")


def told(name: str, request: Record) -> Record:
    """Return the record that a line of a format gives of a request."""
    fields = {field: getattr(request, field) for field in FIELDS[name]}
    return Record(**fields)


def dumps(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def iso(seconds: float, digits: int = 3) -> str:
    moment = datetime.fromtimestamp(round(seconds, 6), UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[: 20 + digits] + "Z"


def common(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%d/%b/%Y:%H:%M:%S")


def address(request: Record) -> str:
    """Return address and port, in brackets where Go and Envoy write them."""
    host = f"[{request.client}]" if ":" in request.client else request.client
    return f"{host}:{request.client_port}"


def hexed(text: str) -> str:
    r"""Escape as nginx does by default, and ALB: `\xHH`."""
    plain = set(range(32, 127)) - {34, 92}
    return "".join(chr(b) if b in plain else f"\\x{b:02X}" for b in text.encode())


def haproxied(text: str) -> str:
    """Escape as HAProxy does: `#HH`."""
    plain = set(range(32, 127)) - {34, 35}
    return "".join(chr(b) if b in plain else f"#{b:02X}" for b in text.encode())


def backslashed(text: str) -> str:
    """Escape as Traefik does: quotes, and nothing else. Go lets no header hold what is left out."""
    return "".join(c for c in text if c == "\t" or c.isprintable()).replace('"', '\\"')


def request_line(r: Record) -> str:
    return f"{r.method} {r.path} HTTP/1.1"


def begun(r: Record) -> float:
    return r.ts - r.duration


def nginx(r: Record) -> str:
    return (
        f'{r.client} - - [{common(r.ts)} +0000] "{hexed(request_line(r))}" {r.status}'
        f' {r.bytes_out} "-" "{hexed(r.user_agent)}"'
    )


def nginx_json(r: Record) -> str:
    return dumps(
        {
            "msec": r.ts,
            "remote_addr": r.client,
            "remote_port": str(r.client_port),
            "request_method": r.method,
            "uri": r.path,
            "status": r.status,
            "request_length": r.bytes_in,
            "bytes_sent": r.bytes_out,
            "request_time": r.duration,
            "upstream_header_time": str(r.ttfb),
            "ssl_protocol": r.tls,
            "ssl_server_name": r.sni,
            "http_user_agent": r.user_agent,
            "http_x_forwarded_for": "",
            "upstream_http_x_excise_account": r.account,
            "upstream_http_x_llm_model": r.model,
            "upstream_http_x_llm_input_tokens": str(r.input_tokens),
            "upstream_trailer_x_llm_output_tokens": str(r.output_tokens),
        }
    )


def envoy_document(r: Record) -> dict[str, object]:
    return {
        ":authority": r.sni,
        "bytes_received": r.bytes_in,
        "bytes_sent": r.bytes_out,
        "downstream_remote_address": address(r),
        "duration": round(r.duration * 1000),
        "method": r.method,
        "protocol": "HTTP/2",
        "requested_server_name": r.sni,
        "response_code": r.status,
        "response_flags": "-",
        "start_time": iso(begun(r)),
        "user-agent": r.user_agent,
        "x-envoy-origin-path": r.path,
        "x-forwarded-for": r.client,
        "x-request-id": r.request_id,
    }


def envoy_json(r: Record) -> str:
    return dumps(envoy_document(r))


def envoy_ai_gateway(r: Record) -> str:
    usage = {
        "gen_ai.request.model": r.model,
        "gen_ai.usage.input_tokens": r.input_tokens,
        "gen_ai.usage.output_tokens": r.output_tokens,
    }
    return dumps(envoy_document(r) | usage)


def envoy(r: Record) -> str:
    return (
        f'[{iso(begun(r))}] "{r.method} {r.path} HTTP/2" {r.status} - {r.bytes_in} {r.bytes_out}'
        f' {round(r.duration * 1000)} 100 "{r.client}" "{r.user_agent}" "{r.request_id}"'
        f' "llm.example.net" "192.0.2.201:80"'
    )


def haproxy(r: Record) -> str:
    return (
        f"{r.client}:{r.client_port} [{common(begun(r))}{iso(begun(r))[19:23]}] https~ llm/vllm_1"
        f" 0/0/1/{round(r.ttfb * 1000)}/{round(r.duration * 1000)} {r.status} {r.bytes_out} - -"
        f' ---- 2/1/0/0/0 0/0 "{haproxied(request_line(r))}"'
    )


def haproxy_json(r: Record) -> str:
    return dumps(
        {
            "ci": r.client,
            "cp": r.client_port,
            "tr": common(begun(r)) + iso(begun(r))[19:23],
            "ST": r.status,
            "B": r.bytes_out,
            "U": r.bytes_in,
            "Tr": round(r.ttfb * 1000),
            "Ta": round(r.duration * 1000),
            "HM": r.method,
            "HP": r.path,
            "sslv": r.tls,
            "ua": r.user_agent,
        }
    )


def caddy(r: Record) -> str:
    request = {
        "remote_ip": r.client,
        "remote_port": str(r.client_port),
        "client_ip": r.client,
        "proto": "HTTP/2.0",
        "method": r.method,
        "host": r.sni,
        "uri": r.path,
        "headers": {"User-Agent": [r.user_agent], "Accept": ["*/*"]},
        "tls": {"resumed": False, "version": 772, "proto": "h2", "server_name": r.sni},
    }
    return dumps(
        {
            "level": "info",
            "ts": r.ts,
            "logger": "http.log.access",
            "msg": "handled request",
            "request": request,
            "bytes_read": r.bytes_in,
            "user_id": "",
            "duration": r.duration,
            "size": r.bytes_out,
            "status": r.status,
            "resp_headers": {"Server": ["Caddy"]},
        }
    )


def traefik_json(r: Record) -> str:
    return dumps(
        {
            "ClientAddr": address(r),
            "ClientHost": r.client,
            "ClientPort": str(r.client_port),
            "ClientUsername": "-",
            "DownstreamContentSize": r.bytes_out,
            "DownstreamStatus": r.status,
            "Duration": round(r.duration * 1e9),
            "RequestContentSize": r.bytes_in,
            "RequestMethod": r.method,
            "RequestPath": r.path,
            "RequestScheme": "https",
            "StartUTC": iso(begun(r), 6),
            "TLSVersion": "1.3",
            "level": "info",
            "msg": "",
            "request_User-Agent": r.user_agent,
            "time": iso(r.ts),
        }
    )


def traefik(r: Record) -> str:
    return (
        f'{r.client} - - [{common(r.ts)} +0000] "{request_line(r)}" {r.status} {r.bytes_out} "-"'
        f' "{backslashed(r.user_agent)}" 244 "llm@file" "http://192.0.2.201:8000"'
        f" {round(r.duration * 1000)}ms"
    )


def litellm(r: Record) -> str:
    return dumps(
        {
            "id": r.request_id,
            "call_type": "acompletion",
            "status": "success",
            "error_information": {"error_code": str(r.status)},
            "startTime": begun(r),
            "endTime": r.ts,
            "model": r.model,
            "metadata": {"requester_ip_address": r.client, "user_api_key_team_id": r.org},
            "prompt_tokens": r.input_tokens,
            "completion_tokens": r.output_tokens,
            "request_tags": [f"User-Agent: {r.user_agent}"],
        }
    )


def otel(r: Record) -> str:
    told_ = {
        "client.address": r.client,
        "gen_ai.request.model": r.model,
        "gen_ai.usage.input_tokens": r.input_tokens,
        "gen_ai.usage.output_tokens": r.output_tokens,
        "user_agent.original": r.user_agent,
        "http.response.status_code": r.status,
    }
    attributes = [
        {"key": k, "value": {"intValue": str(v)} if isinstance(v, int) else {"stringValue": v}}
        for k, v in told_.items()
    ]
    span = {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": r.request_id,
        "name": "chat",
        "endTimeUnixNano": str(round(r.ts * 1e9)),
        "attributes": attributes,
    }
    return dumps({"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": [span]}]}]})


def uvicorn(r: Record) -> str:
    return f'{iso(r.ts)} INFO:     {address(r)} - "{request_line(r)}" {r.status} OK'


def alb(r: Record) -> str:
    return (
        f"https {iso(r.ts)} app/llm/50dc6c495c0c9188 {address(r)} 192.0.2.201:80 0.000 0.000"
        f" {r.duration:.3f} {r.status} {r.status} {r.bytes_in} {r.bytes_out}"
        f' "{r.method} https://llm.example.net:443{hexed(r.path)} HTTP/2.0"'
        f' "{hexed(r.user_agent)}" ECDHE-RSA-AES128-GCM-SHA256 {r.tls} arn:aws:tg/1'
        f' "{r.request_id}" "{r.sni}" "arn:aws:acm:1" 0 {iso(r.ts)} "forward" "-" "-" "-" "-"'
    )


def record(r: Record) -> str:
    default = Record(ts=0.0, client="")
    fields = msgspec.structs.asdict(r)
    return dumps({k: v for k, v in fields.items() if v != getattr(default, k)})


WRITERS: dict[str, Callable[[Record], str]] = {
    "record": record,
    "nginx-json": nginx_json,
    "nginx": nginx,
    "envoy-ai-gateway": envoy_ai_gateway,
    "envoy-json": envoy_json,
    "envoy": envoy,
    "haproxy": haproxy,
    "haproxy-json": haproxy_json,
    "caddy": caddy,
    "traefik-json": traefik_json,
    "traefik": traefik,
    "litellm": litellm,
    "otel": otel,
    "uvicorn": uvicorn,
    "alb": alb,
}
#: fields of a request that a line of each format tells
FIELDS: dict[str, tuple[str, ...]] = {
    "record": tuple(Record.__struct_fields__),
    "nginx-json": (
        *FULL,
        *("client_port", "ttfb", "tls", "sni", "account", "model"),
        *("input_tokens", "output_tokens"),
    ),
    "nginx": (*CORE, "user_agent"),
    "envoy-ai-gateway": (
        *FULL,
        *("client_port", "sni", "request_id", "model", "input_tokens", "output_tokens"),
    ),
    "envoy-json": (*FULL, "client_port", "sni", "request_id"),
    "envoy": (*FULL, "request_id"),
    "haproxy": (*CORE, "client_port", "duration", "ttfb"),
    "haproxy-json": (*FULL, "client_port", "ttfb", "tls"),
    "caddy": (*FULL, "client_port", "tls", "sni", "alpn"),
    "traefik-json": (*FULL, "client_port", "tls"),
    "traefik": (*CORE, "duration", "user_agent"),
    "litellm": (
        *("ts", "client", "status", "duration", "user_agent", "request_id", "model", "org"),
        *("input_tokens", "output_tokens"),
    ),
    "otel": (
        *("ts", "client", "status", "user_agent", "request_id", "model"),
        *("input_tokens", "output_tokens"),
    ),
    "uvicorn": ("ts", "client", "client_port", "method", "path", "status"),
    "alb": (*FULL, "client_port", "tls", "sni", "request_id", "ttfb", "peer"),
}
