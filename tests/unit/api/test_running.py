"""The daemon itself over the socket: status, health, rules, reload, posture, records."""

import socket
from contextlib import ExitStack

import pytest

from excise import __version__
from excise.api.route import BODY_MOST_BYTES
from excise.api.routes import MOST_PUSHES
from excise.model.decision import Posture
from excise.model.step import SetPosture
from excise.model.view import ReloadView


def test_the_status_has_posture_inputs_engine_enforcer_and_rules(served):
    status, _, view = served.ask("GET", "/v1/status")
    assert 200 == status
    assert (__version__, "throttle", "throttle", [], 2) == (
        view["version"],
        view["posture"],
        view["effective_posture"],
        view["not_ready"],
        view["rules_loaded"],
    )
    one = view["inputs"][0]
    assert (4096, 0, 12350, {"no-ts": 4, "not-json": 1}) == (
        one["position"]["offset"],
        one["lag_bytes"],
        one["lines"],
        one["rejects"],
    )
    assert view["enforcer"]["in_sync"]
    assert 12345 == view["engine"]["records"]


def test_it_lives_and_is_ready(served):
    assert (200, {"alive": True}) == served.ask("GET", "/livez")[::2]
    assert (200, {"ready": True, "reasons": []}) == served.ask("GET", "/readyz")[::2]


def test_it_is_not_ready_with_reasons(served):
    served.control.reasons = ["no input can be read"]
    expected = {"ready": False, "reasons": ["no input can be read"]}
    assert (503, expected) == served.ask("GET", "/readyz")[::2]
    assert 200 == served.ask("GET", "/livez")[0]


def test_rules_have_their_hits(served):
    rules = served.ask("GET", "/v1/rules")[2]["rules"]
    assert [("volume.flood", 17), ("api.logprobs", 0)] == [(r["id"], r["hits"]) for r in rules]


def test_a_reload_tells_what_is_in_force(served):
    expected = {"applied": True, "rules": 2, "errors": [], "restart": ["ports"]}
    assert (200, expected) == served.ask("POST", "/v1/reload")[::2]


def test_a_refused_reload_names_every_error(served):
    served.control.reload_view = ReloadView(applied=False, rules=2, errors=("a.yaml:3:1: x", "y"))
    status, _, problem = served.ask("POST", "/v1/reload")
    assert (422, "urn:excise:problem:reload-refused") == (status, problem["type"])
    assert ["a.yaml:3:1: x", "y"] == problem["errors"]


def test_the_posture_is_shown_and_changed(served):
    served.control.engine.tripped = "600 new decisions within a minute"
    before = {
        "posture": "throttle",
        "effective_posture": "observe",
        "tripped": "600 new decisions within a minute",
    }
    assert (200, before) == served.ask("GET", "/v1/posture")[::2]
    after = {"posture": "enforce", "effective_posture": "enforce", "tripped": ""}
    assert (200, after) == served.ask("PUT", "/v1/posture", {"posture": "enforce"})[::2]
    assert [SetPosture(Posture.ENFORCE)] == served.control.submitted


@pytest.mark.parametrize("body", [b"{", b"[]", b'"enforce"', b'{"posture": "off"}', b"{}", b"\xff"])
def test_a_body_that_is_no_question_is_refused(served, body):
    headers = {"Content-Type": "application/json"}
    assert 422 == served.ask("PUT", "/v1/posture", body, headers)[0]
    assert [] == served.control.submitted


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/json", "application/jsonl"])
def test_pushed_records_reach_the_daemon_as_they_are(served, kind):
    lines = b'{"ts": 1, "client": "203.0.113.7"}\n' * 3
    status, _, answer = served.ask("POST", "/v1/records", lines, {"Content-Type": kind})
    assert (200, {"accepted": 3, "rejects": {"no-ts": 1}}) == (status, answer)
    assert lines == served.control.pushed


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/records", "text/plain"),
        ("/v1/records", "application/x-www-form-urlencoded"),
        ("/v1/decisions", "text/plain"),
        ("/v1/decisions", "application/x-ndjson"),
        ("/v1/reload", "application/x-www-form-urlencoded"),
    ],
)
def test_a_write_of_another_content_type_is_refused(served, path, kind):
    assert 415 == served.ask("POST", path, b"{}", {"Content-Type": kind})[0]


def test_a_body_beyond_the_bound_is_refused(served):
    headers = {"Content-Type": "application/json"}
    assert 413 == served.ask("POST", "/v1/decisions", b" " * (BODY_MOST_BYTES + 1), headers)[0]


def half_a_push(path):
    """Begin to push records, and stop in the middle of the body."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10)
    sock.connect(str(path))
    sock.sendall(
        b"POST /v1/records HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n"
        b"Content-Type: application/x-ndjson\r\n\r\n{"
    )
    return sock


def test_bodies_that_do_not_come_end_and_meanwhile_others_wait(served, monkeypatch):
    monkeypatch.setattr("excise.api.routes.PUSH_S", 0.5)
    with ExitStack() as stack:
        slow = [stack.enter_context(half_a_push(served.socket_path)) for _ in range(MOST_PUSHES)]
        kind = {"Content-Type": "application/x-ndjson"}
        status, _, _ = served.ask("POST", "/v1/records", b"{}\n", kind)
        first_lines = [sock.recv(4096).split(b"\r\n")[0] for sock in slow]

    assert 200 == status
    assert [b"HTTP/1.1 408 Request Timeout"] * MOST_PUSHES == first_lines
