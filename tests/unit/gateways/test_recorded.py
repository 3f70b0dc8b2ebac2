"""Gateways that are not at hand here, by lines as they document them.

No line below was written by the program itself: Debian has none of these. The lines are written
by hand from the projects' own documentation and sources, under the keys that our files configure.
"""

import json
from pathlib import Path

import pytest
import yaml

from excise.decode.base import DecodeContext
from excise.decode.registry import make_decoder

GATEWAYS = Path(__file__).parents[3] / "gateways"

ENVOY = {
    "start_time": "1795444645.120", "duration": 1526, "response_duration": 250,
    "downstream_remote_address": "203.0.113.7:59292",
    "downstream_direct_remote_address": "203.0.113.7:59292",
    "method": "POST", "path": "/v1/chat/completions?api_key=x", "response_code": 200,
    "bytes_received": 812, "bytes_sent": 121258, "requested_server_name": "llm.example.net",
    "downstream_tls_version": "TLSv1.3", "tls_ja4_fingerprint": "t13d1516h2_8daaf6152771_0",
    "connection_id": 7, "user-agent": "OpenAI/Python 2.8.0", "x-request-id": "r-1",
    "account": "acct-1", "model": "m-mid", "input_tokens": "12", "output_tokens": "34",
}  # fmt: skip
AI_GATEWAY = {key: value for key, value in ENVOY.items() if "tokens" not in key} | {
    "start_time": "2026-11-23T14:37:25.120Z",
    "x-envoy-origin-path": ENVOY["path"],
    "gen_ai.request.model": "m-mid", "gen_ai.usage.input_tokens": 12,
    "gen_ai.usage.output_tokens": 34, "gen_ai.usage.cached_input_tokens": 5,
    "gen_ai.usage.reasoning_tokens": 6,
}  # fmt: skip
del AI_GATEWAY["path"], AI_GATEWAY["model"]
TRAEFIK = {
    "ClientAddr": "203.0.113.7:56446", "ClientHost": "203.0.113.7", "ClientPort": "56446",
    "ClientUsername": "-", "DownstreamContentSize": 2048, "DownstreamStatus": 200,
    "Duration": 1500000000, "OriginDuration": 1400000000, "RequestContentSize": 812,
    "RequestMethod": "POST", "RequestPath": "/v1/chat/completions", "RequestProtocol": "HTTP/2.0",
    "RequestScheme": "https", "StartUTC": "2026-11-23T14:37:25.12Z", "TLSVersion": "1.3",
    "TLSCipher": "TLS_AES_128_GCM_SHA256", "level": "info", "msg": "",
    "time": "2026-11-23T14:37:26Z", "request_User-Agent": "OpenAI/Python 2.8.0",
    "origin_X-Excise-Account": "acct-1", "origin_X-Excise-Output-Tokens": "34",
    "downstream_X-Excise-Account": "acct-1", "downstream_X-Excise-Output-Tokens": "34",
}  # fmt: skip
CASES = {
    "envoy-json": (ENVOY, 1795444646.646),
    "envoy-ai-gateway": (AI_GATEWAY, 1795444646.646),
    "traefik-json": (TRAEFIK, 1795444646.62),
}


def envoy_keys():
    listener = yaml.safe_load((GATEWAYS / "envoy/envoy.yaml").read_text())["static_resources"][
        "listeners"
    ][0]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return manager["access_log"][0]["typed_config"]["log_format"]["json_format"]


def ai_gateway_documents():
    return list(yaml.safe_load_all((GATEWAYS / "envoy/ai-gateway.yaml").read_text()))


def ai_gateway_keys():
    settings = ai_gateway_documents()[1]["spec"]["telemetry"]["accessLog"]["settings"]
    return settings[0]["format"]["json"]


def test_the_lines_have_the_keys_that_our_files_configure():
    assert set(ENVOY) == set(envoy_keys())
    assert set(AI_GATEWAY) == set(ai_gateway_keys())


def test_what_the_ai_gateway_logs_of_usage_it_also_counts():
    counted = {c["metadataKey"] for c in ai_gateway_documents()[0]["spec"]["llmRequestCosts"]}
    logged = {v.partition("ai_gateway:")[2].strip(")%") for v in ai_gateway_keys().values()}
    assert counted == logged - {""}


def test_no_file_logs_what_a_client_sends_beside_its_agent_and_its_address():
    asked = [v for v in (*envoy_keys().values(), *ai_gateway_keys().values()) if "%REQ(" in v]
    names = {v.removeprefix("%REQ(").removesuffix(")%") for v in asked}
    # Envoy sets these itself, or they are the request line's own.
    own = {":METHOD", "X-ENVOY-ORIGINAL-PATH?:PATH", "X-REQUEST-ID", "X-AI-EG-MODEL"}
    assert {"USER-AGENT"} == names - own
    headers = yaml.safe_load((GATEWAYS / "traefik/traefik.yaml").read_text())["accessLog"][
        "fields"
    ]["headers"]
    assert "drop" == headers["defaultMode"]
    assert {"User-Agent", "X-Forwarded-For"} == {
        n for n in headers["names"] if not n.startswith("X-Excise-")
    }


def test_a_client_cannot_speak_to_the_tap_through_any_gateway():
    told = {"X-Excise-Tls", "X-Excise-Sni", "X-Excise-Alpn", "X-Excise-Ja4", "X-Excise-Client-Port"}
    files = ("envoy/envoy.yaml", "traefik/llm.yaml", "caddy/Caddyfile")
    texts = {name: (GATEWAYS / name).read_text() for name in files}
    assert [] == [(name, h) for name, text in texts.items() for h in told if h not in text]


@pytest.mark.parametrize("name", CASES)
def test_a_line_is_decoded_by_the_format_that_the_page_names(name):
    seen, ts = CASES[name]
    decoded = make_decoder(name, DecodeContext((), b"key")).decode([json.dumps(seen).encode()])
    assert [] == decoded.rejects
    (record,) = decoded.records
    assert (ts, "203.0.113.7", "") == (round(record.ts, 3), record.client, record.peer)
    assert ("acct-1", 34, "TLSv1.3") == (record.account, record.output_tokens, record.tls)
    assert ("POST", "/v1/chat/completions", 200) == (record.method, record.path, record.status)
    assert "OpenAI/Python 2.8.0" == record.user_agent
