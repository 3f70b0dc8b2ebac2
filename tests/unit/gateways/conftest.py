"""A tapped application without a server: requests go in, records come out."""

import asyncio
import json
from ipaddress import ip_network
from itertools import count
from pathlib import Path

import pytest

from excise.decode.base import DecodeContext
from excise.decode.record import RecordDecoder
from excise.gateways.asgi import Tap
from excise.gateways.guard import Complaints
from excise.gateways.settings import LOOPBACK, TapSettings

KEY = "a key of the tests"
CLIENT = ("203.0.113.7", 40_000)


class Heard:
    """What was complained of, without waiting for the minute to pass."""

    def __init__(self):
        self.texts = []
        self.complaints = Complaints(clock=count(0, 1000).__next__, say=self.texts.append)


def settings_for(path, **more):
    key = path.parent / "key"
    key.write_text(KEY)
    trusted = tuple(map(ip_network, (*LOOPBACK, "192.0.2.0/24")))
    return TapSettings(path=path, **({"key_file": key, "trusted": trusted} | more))


def decode(lines):
    """Return the records of lines, as the daemon decodes them."""
    decoded = RecordDecoder(DecodeContext((), b"key")).decode(lines)
    assert (decoded.rejects, decoded.unknown_fields) == ([], 0)
    return decoded.records


class Tapped:
    """An app behind the tap. `ask` plays the server's part."""

    def __init__(self, directory, app, **more):
        self.path = Path(directory) / "records.log"
        self.heard = Heard()
        self.tap = Tap(app, settings_for(self.path, **more), self.heard.complaints)

    def ask(self, body=b"", *, client=CLIENT, headers=(), receive=None, send=None, **scope):
        """Return what the app sent, once it is done; `body` may be a list of pieces."""
        pieces = body if isinstance(body, list) else [body]
        pieces = [p if isinstance(p, bytes) else json.dumps(p).encode() for p in pieces]
        messages = [
            {"type": "http.request", "body": piece, "more_body": at < len(pieces)}
            for at, piece in enumerate(pieces, 1)
        ]
        sent = []

        async def from_list():
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def to_list(message):
            sent.append(message)

        raw = [(name.encode(), value.encode()) for name, value in headers]
        whole = {"type": "http", "method": "POST", "path": "/v1/chat/completions",
                 "scheme": "http", "client": client, "headers": raw} | scope  # fmt: skip
        asyncio.run(self.tap(whole, receive or from_list, send or to_list))
        return sent

    def lines(self):
        self.tap.close()
        return self.path.read_bytes().splitlines() if self.path.exists() else []

    def records(self):
        return decode(self.lines())


@pytest.fixture
def tapped(tmp_path):
    made = []

    def make(app, **more):
        made.append(Tapped(tmp_path, app, **more))
        return made[-1]

    yield make
    for one in made:
        one.tap.close()


@pytest.fixture(name="decode")
def decode_fixture():
    return decode


@pytest.fixture(name="settings_for")
def settings_for_fixture():
    return settings_for


@pytest.fixture
def heard():
    return Heard()
