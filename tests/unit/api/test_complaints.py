"""What anybody can send to a port must not fill the log with traces."""

import socket

import pytest


def send(served, data):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(str(served.socket_path))
        sock.sendall(data)
        return sock.recv(4096)


@pytest.mark.parametrize(
    "data",
    [
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /v1/records HTTP/1.1\r\nHost: localhost\r\nContent-Length: many\r\n\r\n",
        b"\x16\x03\x01 a ClientHello\r\n\r\n",
    ],
    ids=["header", "path", "length", "tls"],
)
def test_what_is_no_request_is_refused_and_told_in_short(served, data):
    assert b" 400 " in send(served, data)[:40]

    assert set() == {event for _, event, _ in served.control.log.told} - {"api.malformed"}
    for level, _, told in served.control.log.told:
        assert "debug" == level
        assert {"why"} == set(told)
        assert len(told["why"]) <= 200


def test_a_body_that_is_not_encoded_as_it_says_is_the_callers_fault(served):
    headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
    status, _, problem = served.ask("POST", "/v1/records", b"no gzip", headers)

    assert (400, "urn:excise:problem:bad-request") == (status, problem["type"])
    assert "Content-Encoding" in problem["detail"]


def test_what_is_left_of_such_a_body_leaves_no_trace_either(served):
    head = b"POST /v1/records HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
    assert b" 400 " in send(
        served, head + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"
    )

    # The server looks once more at what is left of the body, after it has answered.
    assert 200 == served.ask("GET", "/livez")[0]
    assert {"api.malformed"} >= {event for _, event, _ in served.control.log.told}
