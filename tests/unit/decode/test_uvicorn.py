"""uvicorn's own access lines, from a uvicorn that runs here."""

import json
import select
import socket
import subprocess
import sys

import pytest

from excise.decode.base import DecodeContext
from excise.decode.registry import make_decoder

APP = """
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": b""})
"""
#: uvicorn's own format with a time before it, as docs/gateways-vllm.md has it
LOGGING = {
    "version": 1,
    "formatters": {
        "access": {
            "()": "uvicorn.logging.AccessFormatter",
            "fmt": '%(asctime)s %(levelprefix)s %(client_addr)s - "%(request_line)s" '
            "%(status_code)s",
            "use_colors": True,
        }
    },
    "handlers": {
        "access": {
            "class": "logging.StreamHandler",
            "formatter": "access",
            "stream": "ext://sys.stdout",
        }
    },
    "loggers": {"uvicorn.access": {"handlers": ["access"], "level": "INFO"}},
}


class Uvicorn:
    """A server on a socket of ours."""

    def __init__(self, directory):
        (directory / "served.py").write_text(APP)
        (directory / "log.json").write_text(json.dumps(LOGGING))
        self._socket = socket.create_server(("127.0.0.1", 0))
        options = ["--fd", str(self._socket.fileno()), "--log-config", "log.json"]
        options += ["--forwarded-allow-ips", "127.0.0.1"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "served:app", *options],
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[self._socket.fileno()],
            bufsize=0,
        )

    def ask(self, target, *headers, method="GET"):
        """Send a request as it is; return the port that it came from, and the line logged."""
        first = f"{method} {target} HTTP/1.1"
        head = "\r\n".join([first, "Host: x", "Connection: close", *headers])
        with socket.create_connection(self._socket.getsockname(), timeout=30) as connection:
            connection.sendall(f"{head}\r\n\r\n".encode("latin-1"))
            while connection.recv(4096):
                pass
            assert select.select([self._process.stdout], [], [], 30)[0], "nothing was logged"
            return connection.getsockname()[1], self._process.stdout.readline()

    def close(self):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        self._socket.close()


@pytest.fixture(scope="module")
def uvicorn(tmp_path_factory):
    server = Uvicorn(tmp_path_factory.mktemp("uvicorn"))
    yield server
    server.close()


@pytest.fixture
def decode():
    decoder = make_decoder("uvicorn", DecodeContext((), b"key"))

    def one(line):
        decoded = decoder.decode([line.rstrip(b"\n")])
        assert [] == decoded.rejects, line
        (record,) = decoded.records
        return record

    return one


@pytest.mark.parametrize(
    ("method", "target", "path"),
    [
        ("POST", "/v1/chat/completions?api_key=sk-1", "/v1/chat/completions"),
        ("GET", '/v1/mo"dels?x="y', "/v1/mo%22dels"),
        ("GET", '/v1?"200"-"HTTP/1.1"', "/v1"),
        ("GET", "/%0a127.0.0.1:1%20-%20%22GET%20/%20HTTP/1.1%22%20200", None),
        ("DELETE", "//evil.example/..", "//evil.example/.."),
    ],
)
def test_a_request_is_read_as_it_was_made(uvicorn, decode, method, target, path):
    port, line = uvicorn.ask(target, method=method)
    record = decode(line)
    told = record.client, record.client_port, record.status, record.method
    assert ("127.0.0.1", port, 418, method) == told
    assert path is None or path == record.path


def test_a_hop_that_a_trusted_proxy_tells_is_the_client(uvicorn, decode):
    for told, expected in (("203.0.113.7", "203.0.113.7"), ("2001:db8::7", "2001:db8::7")):
        _, line = uvicorn.ask("/", f"X-Forwarded-For: {told}")
        assert (expected, -1) == (decode(line).client, decode(line).client_port)
