"""The tap: what passes is what was sent, and a record tells of it."""

import asyncio
import json
import os
import socket
import subprocess
import sys

import pytest

from excise.gateways.keyed import Keyed

CLIENT = ("203.0.113.7", 40_000)
KEYED = Keyed(b"a key of the tests")
ASKED = {
    "model": "stub-70b",
    "messages": [
        {"role": "system", "content": "You are a test."},
        {"role": "user", "content": "How many words make a sentence, and why so many?"},
    ],
    "max_tokens": 30,
    "n": 1,
    "temperature": 0.5,
    "logprobs": True,
    "top_logprobs": 5,
    "logit_bias": {"1": 2, "3": 4},
}
USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}


def answer(*bodies, status=200, headers=()):
    """Return an app that reads its request and answers with bodies."""

    async def app(scope, receive, send):
        while (await receive()).get("more_body"):
            pass
        raw = [(name.encode(), value.encode()) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        for body in bodies:
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return app


def event(value):
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def token(text):
    return event({"choices": [{"delta": {"content": text}}]})


DOCUMENT = json.dumps({"choices": [{"message": {"content": "a b c"}}], "usage": USAGE}).encode()
STREAM = [token("a"), token("b"), token("c"), event({"choices": [], "usage": USAGE}),
          b"data: [DONE]\n\n"]  # fmt: skip


def test_a_plain_answer_is_told_with_its_usage_and_its_parameters(tapped):
    one = tapped(answer(DOCUMENT))
    one.ask(ASKED, headers=[("authorization", "Bearer sk-1"), ("user-agent", 'a "b"')])
    (record,) = one.records()
    assert ("203.0.113.7", "", 40_000, "none") == (
        record.client, record.peer, record.client_port, record.tls)  # fmt: skip
    assert ("POST", "/v1/chat/completions", 200) == (record.method, record.path, record.status)
    assert (12, 3) == (record.input_tokens, record.output_tokens)
    assert ("stub-70b", 30, 1, 0.5, 5, 2, None) == (
        record.model, record.max_tokens, record.n, record.temperature, record.logprobs,
        record.logit_bias, record.stream)  # fmt: skip
    assert (len(json.dumps(ASKED)), len(DOCUMENT)) == (record.bytes_in, record.bytes_out)
    assert KEYED.account("Bearer sk-1") == record.account
    assert tuple(KEYED.chain(ASKED["messages"])) == record.prompt
    assert KEYED.simhash(ASKED["messages"][1]["content"]) == record.simhash
    assert 'a "b"' == record.user_agent
    assert 0 <= record.ttfb <= record.duration


def test_a_stream_passes_as_it_is_and_is_told_with_its_usage(tapped):
    one = tapped(answer(*STREAM))
    sent = one.ask(ASKED | {"stream": True})
    (record,) = one.records()
    assert STREAM == [m["body"] for m in sent if m.get("body")]
    assert (12, 3, True) == (record.input_tokens, record.output_tokens, record.stream)


def test_a_stream_that_tells_no_usage_counts_its_events(tapped):
    one = tapped(answer(token("a"), token("b") + token("c")))
    one.ask(ASKED)
    (record,) = one.records()
    assert (3, -1) == (record.output_tokens, record.input_tokens)


def test_no_text_and_no_credential_is_written(tapped):
    one = tapped(answer(*STREAM))
    one.ask(ASKED, headers=[("authorization", "Bearer sk-secret")], query_string=b"key=sk-secret")
    (line,) = one.lines()
    assert [] == [word for word in (b"sk-secret", b"words", b"You are") if word in line]


def test_a_body_in_pieces_is_read_as_one(tapped):
    text = json.dumps(ASKED).encode()
    one = tapped(answer(DOCUMENT))
    one.ask([text[:10], text[10:50], b"", text[50:]])
    (record,) = one.records()
    assert ("stub-70b", len(text)) == (record.model, record.bytes_in)


def test_a_huge_body_is_counted_and_not_looked_into(tapped):
    one = tapped(answer(DOCUMENT), max_body_bytes=10_000)
    one.ask([b"x" * 6_000] * 1_000)
    (record,) = one.records()
    assert (6_000_000, "", ()) == (record.bytes_in, record.model, record.prompt)


def test_a_huge_answer_is_kept_at_its_ends_only(tapped):
    one = tapped(answer(*[token("x" * 1_000)] * 1_000, event({"choices": [], "usage": USAGE})))
    one.ask(ASKED)
    (record,) = one.records()
    assert 3 == record.output_tokens
    assert record.bytes_out > 1_000_000


@pytest.mark.parametrize("body", [b"", b"{broken", b"\xff\xfe", b"[1, 2]", b"[" * 100_000, b"null"])
def test_what_is_no_json_object_leaves_the_parameters_unknown(tapped, body):
    one = tapped(answer(b"ok"))
    one.ask(body)
    (record,) = one.records()
    assert ("", (), -1, -1) == (record.model, record.prompt, record.max_tokens,
                                record.output_tokens)  # fmt: skip


@pytest.mark.parametrize(
    "strange",
    [
        {"model": 7, "n": "many", "temperature": None, "logit_bias": [1], "stream": "yes"},
        {"model": "m" * 5_000, "n": -1, "max_tokens": 1e300, "logprobs": []},
        {"model": "\ud800", "messages": [{"role": "user", "content": "\ud800 half"}]},
        {"messages": "text", "system": {"a": 1}},
        {"messages": [None, 1, [], {}, {"role": "user"}, {"role": "user", "content": [1, {}]}]},
        {"prompt": [1, 2, 3]},
        {"n": float("nan"), "temperature": float("inf")},
    ],
)
def test_nonsense_in_a_request_does_not_hide_the_request(tapped, strange):
    one = tapped(answer(DOCUMENT))
    one.ask(strange)
    (record,) = one.records()
    assert (3, []) == (record.output_tokens, [t for t in one.heard.texts if "defect" in t])


def test_a_prompt_with_half_a_surrogate_pair_has_its_hashes(tapped):
    one = tapped(answer(DOCUMENT))
    system, user = ({"role": "system", "content": "s"}, {"role": "user", "content": "\ud800 x"})
    one.ask({"messages": [system, user]})
    (record,) = one.records()
    assert 2 == len(record.prompt)
    assert KEYED.chain([system])[0] == record.prompt[0]


@pytest.mark.parametrize(
    "body",
    [
        event({"choices": [{"delta": {"content": '"usage":{"completion_tokens":9}'}}]}),
        event({"choices": [], "tools": [{"usage": {"completion_tokens": 9}}]}),
        event({"choices": [{"usage": {"completion_tokens": 9}}]}),
    ],
)
def test_what_a_client_had_written_into_an_answer_is_not_taken_for_its_usage(tapped, body):
    one = tapped(answer(event({"usage": USAGE}), body))
    one.ask(ASKED)
    (record,) = one.records()
    assert 3 == record.output_tokens


def test_a_claim_that_was_refused_is_nobodys(tapped):
    one = tapped(answer(b"{}", status=401))
    one.ask(ASKED, headers=[("authorization", "Bearer sk-1")])
    (record,) = one.records()
    assert (401, "") == (record.status, record.account)


def test_the_applications_word_wins_and_the_client_does_not_see_it(tapped):
    told = [("X-Excise-Account", "acct-1"), ("x-excise-org", "org-1"), ("x-request-id", "r")]
    one = tapped(answer(DOCUMENT, headers=told))
    sent = one.ask(ASKED, headers=[("authorization", "Bearer sk-1")])
    (record,) = one.records()
    assert ("acct-1", "org-1") == (record.account, record.org)
    assert [(b"x-request-id", b"r")] == sent[0]["headers"]


def test_a_compressed_answer_is_not_read_as_text(tapped):
    one = tapped(answer(DOCUMENT, headers=[("content-encoding", "gzip")]))
    one.ask(ASKED)
    (record,) = one.records()
    assert -1 == record.output_tokens


# Things go wrong


def test_an_app_that_raises_is_told_as_failed_and_raises_still(tapped):
    async def app(scope, receive, send):
        raise LookupError("theirs")

    one = tapped(app)
    with pytest.raises(LookupError, match="theirs"):
        one.ask(ASKED)
    (record,) = one.records()
    assert 500 == record.status


def test_an_app_that_raises_in_a_stream_keeps_the_status_it_sent(tapped):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": token("a"), "more_body": True})
        raise LookupError

    one = tapped(app)
    with pytest.raises(LookupError):
        one.ask(ASKED)
    (record,) = one.records()
    assert (200, 1) == (record.status, record.output_tokens)


def test_a_client_that_hangs_up_is_told_with_what_it_got(tapped):
    left = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(10):
            await send({"type": "http.response.body", "body": token("a"), "more_body": True})

    async def send(message):
        left.append(message)
        if len(left) > 4:
            raise asyncio.CancelledError

    one = tapped(app)
    with pytest.raises(asyncio.CancelledError):
        one.ask(ASKED, send=send)
    (record,) = one.records()
    assert (200, 4) == (record.status, record.output_tokens)


def test_what_an_app_says_to_a_client_that_has_gone_is_not_counted(tapped):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": token("a"), "more_body": True})
        assert "http.disconnect" == (await receive())["type"]
        await send({"type": "http.response.body", "body": token("b") * 100})

    one = tapped(app)
    one.ask(ASKED)
    (record,) = one.records()
    assert 1 == record.output_tokens


def test_a_defect_of_ours_stays_here(tapped, monkeypatch):
    monkeypatch.setattr("excise.gateways.tapped.Tapped.take_body", lambda *_: 1 / 0)
    monkeypatch.setattr("excise.gateways.usage.Ends.add", lambda *_: 1 / 0)
    one = tapped(answer(DOCUMENT))
    sent = one.ask(ASKED)
    (record,) = one.records()
    assert (200, DOCUMENT) == (record.status, sent[1]["body"])
    assert any("defect" in text and "ZeroDivisionError" in text for text in one.heard.texts)


def test_a_scope_that_makes_no_sense_is_the_apps_to_judge(tapped):
    one = tapped(answer(DOCUMENT))
    sent = one.ask(ASKED, method=None, client=7)
    assert [200, DOCUMENT] == [sent[0]["status"], sent[1]["body"]]


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
def test_what_is_no_request_passes_untouched(tapped, kind):
    seen = []

    async def app(scope, receive, send):
        seen.append((scope, receive, send))

    one = tapped(app)
    one.ask(receive="theirs", send="theirs", type=kind)
    assert [("theirs", "theirs")] == [(r, s) for _, r, s in seen]
    assert [] == one.lines()


def test_without_settings_the_app_serves_and_we_say_why_nothing_is_written(monkeypatch, heard):
    from excise.gateways.asgi import Tap

    monkeypatch.delenv("EXCISE_RECORDS", raising=False)
    app = answer(DOCUMENT)
    tap = Tap(app, complaints=heard.complaints)
    sent = []

    async def receive():
        return {"type": "http.request"}

    async def send(message):
        sent.append(message)

    asyncio.run(tap({"type": "http", "headers": []}, receive, send))
    assert 200 == sent[0]["status"]
    assert "nothing is recorded: EXCISE_RECORDS" in heard.texts[0]


def test_without_a_key_records_have_no_accounts_and_we_say_so(tapped):
    one = tapped(answer(DOCUMENT), key_file=None)
    one.ask(ASKED, headers=[("authorization", "Bearer sk-1")])
    (record,) = one.records()
    assert ("", (), "", 30) == (record.account, record.prompt, record.simhash, record.max_tokens)
    assert "EXCISE_KEY_FILE is not set" in one.heard.texts[0]


# Sockets


def test_a_socket_that_is_not_there_costs_the_request_nothing(tapped):
    one = tapped(answer(DOCUMENT), socket=True)
    sent = one.ask(ASKED)
    one.tap.close()
    assert DOCUMENT == sent[1]["body"]
    assert any("records.log has no reader" in text for text in one.heard.texts)


def test_a_socket_gets_a_datagram_per_record(tapped, decode):
    one = tapped(answer(DOCUMENT), socket=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
        reader.bind(str(one.path))
        one.ask(ASKED)
        one.ask(ASKED)
        one.tap.close()
        lines = [reader.recv(65_536), reader.recv(65_536)]
    assert [3, 3] == [record.output_tokens for record in decode(lines)]
    assert not lines[0].endswith(b"\n")


def test_a_full_socket_loses_records_and_no_request(tapped):
    one = tapped(answer(DOCUMENT), socket=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
        reader.bind(str(one.path))
        served = [one.ask(ASKED)[1]["body"] for _ in range(600)]
        one.tap.close()
    assert [DOCUMENT] * 600 == served
    assert any("records.log is full: its reader is too slow" in text for text in one.heard.texts)


# With a real server


@pytest.mark.parametrize("kind", ["stream", "document"])
def test_behind_starlette_and_uvicorn(tmp_path, settings_for, decode, kind):
    """The class is named on a command line and configured by the environment alone."""
    script = tmp_path / "served.py"
    script.write_text(SERVED)
    settings_for(tmp_path / "records.log")
    environment = os.environ | {
        "EXCISE_RECORDS": str(tmp_path / "records.log"),
        "EXCISE_KEY_FILE": str(tmp_path / "key"),
    }
    done = subprocess.run(
        [sys.executable, script, kind], env=environment, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert (0, "ok\n", "") == (done.returncode, done.stdout, done.stderr)
    (record,) = decode((tmp_path / "records.log").read_bytes().splitlines())
    assert ("198.51.100.9", "TLSv1.3", 4711) == (record.client, record.tls, record.client_port)
    assert (12, 3, "stub-70b") == (record.input_tokens, record.output_tokens, record.model)
    assert (kind == "stream", KEYED.account("Bearer sk-1")) == (record.stream, record.account)


SERVED = """
import asyncio, importlib, json, sys
from http.client import HTTPConnection
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

USAGE = {"prompt_tokens": 12, "completion_tokens": 3}

async def chat(request):
    asked = await request.json()
    if not asked["stream"]:
        return JSONResponse({"choices": [], "usage": USAGE})
    async def events():
        for _ in range(3):
            yield 'data: {"choices":[{"delta":{"content":"a"}}]}\\n\\n'
            await asyncio.sleep(0)
        yield "data: " + json.dumps({"choices": [], "usage": USAGE}) + "\\n\\n"
        yield "data: [DONE]\\n\\n"
    return StreamingResponse(events(), media_type="text/event-stream")

app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])
app.add_middleware(getattr(importlib.import_module("excise.gateways.asgi"), "Tap"))

def ask(port):
    body = json.dumps({"model": "stub-70b", "stream": sys.argv[1] == "stream",
                       "messages": [{"role": "user", "content": "x"}]})
    c = HTTPConnection("127.0.0.1", port, timeout=10)
    c.request("POST", "/v1/chat/completions", body, {
        "Authorization": "Bearer sk-1", "X-Forwarded-For": "198.51.100.9",
        "X-Excise-Tls": "TLSv1.3", "X-Excise-Client-Port": "4711"})
    assert c.getresponse().read()
    c.close()

async def main():
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    await asyncio.to_thread(ask, server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    await task

asyncio.run(main())
print("ok")
"""


# Weight


def test_importing_the_tap_brings_in_nothing_heavy():
    heavy = ("aiohttp", "pyroute2", "numpy", "asyncio", "yaml", "structlog", "typer", "rich")
    script = f"import sys, excise.gateways.asgi; print([m for m in {heavy} if m in sys.modules])"
    assert "[]\n" == subprocess.check_output([sys.executable, "-c", script], text=True)
