"""What is logged with the files in gateways/caddy and a real Caddy: by the tap, and by Caddy."""

import json

import pytest

from excise.decode.base import DecodeContext
from excise.decode.registry import make_decoder
from excise.gateways.keyed import Keyed

pytestmark = pytest.mark.netns

SYSTEM = {"role": "system", "content": "You are a test."}
CREDENTIAL = "Bearer sk-a-secret"
KEYED = Keyed(b"a key of the test")
FORGED = {"X-Forwarded-For": "192.0.2.66", "X-Excise-Tls": "none", "X-Excise-Ja4": "forged",
          "X-Excise-Client-Port": "1"}  # fmt: skip


def chat(*questions, **more):
    asked = [{"role": "user", "content": q} for q in questions]
    return {"model": "stub-70b", "messages": [SYSTEM, *asked], "max_tokens": 30} | more


@pytest.mark.parametrize("stream", [True, False])
def test_the_tap_tells_what_the_model_and_what_caddy_knows(make_caddy, stream):
    caddy = make_caddy()
    status, _, _ = caddy.ask(chat("How?", stream=stream), Authorization=CREDENTIAL)
    (record,) = caddy.records(1)
    assert (status, record.status, record.model) == (200, 200, "stub-70b")
    assert (record.client, record.peer, record.tls) == ("10.1.0.1", "", "TLSv1.3")
    assert (record.output_tokens, record.input_tokens, record.stream) == (30, 4, stream)
    assert KEYED.account(CREDENTIAL) == record.account
    assert tuple(KEYED.chain(chat("How?")["messages"])) == record.prompt
    assert 1024 < record.client_port


def test_a_client_cannot_speak_for_caddy(make_caddy):
    caddy = make_caddy()
    caddy.ask(chat("How?"), **FORGED)
    (record,) = caddy.records(1)
    assert ("10.1.0.1", "", "TLSv1.3", "") == (
        record.client, record.peer, record.tls, record.ja4)  # fmt: skip
    assert 1024 < record.client_port


def test_a_stream_that_was_cut_off_counts_the_tokens_sent(make_caddy):
    caddy = make_caddy()
    caddy.ask(chat("How?", stream=True, max_tokens=100_000), read=20_000)
    (record,) = caddy.records(1)
    assert 100 <= record.output_tokens < 10_000


def test_caddys_own_log_has_the_client_and_neither_credential_nor_query(make_caddy):
    caddy = make_caddy(tap=False)
    caddy.ask(chat("How?"), "/v1/chat/completions?key=sk-a-secret", Authorization=CREDENTIAL,
              **{"X-Api-Key": "sk-a-secret"})  # fmt: skip
    (line,) = caddy.lines(1)
    told = json.loads(line)
    request = told["request"]
    assert ("10.1.0.1", "POST", "/v1/chat/completions", 200) == (
        request["remote_ip"], request["method"], request["uri"], told["status"])  # fmt: skip
    assert (772, "http/1.1") == (request["tls"]["version"], request["tls"]["proto"])
    assert told["size"] > 100
    assert told["duration"] > 0
    assert b"secret" not in line


def test_caddys_own_log_is_read_by_the_format_that_the_page_names(make_caddy):
    caddy = make_caddy(tap=False)
    caddy.ask(chat("How?"), "/v1/chat/completions?key=x", **{"User-Agent": 'a "b"'})
    decoded = make_decoder("caddy", DecodeContext((), b"key")).decode(caddy.lines(1))
    assert [] == decoded.rejects
    (record,) = decoded.records
    assert ("10.1.0.1", "TLSv1.3", "/v1/chat/completions", 200) == (
        record.client, record.tls, record.path, record.status)  # fmt: skip
    assert 'a "b"' == record.user_agent
