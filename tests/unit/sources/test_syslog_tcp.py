"""Syslog over TCP: connections, their framing, their bounds."""

import asyncio
import socket

import pytest

from excise.config import SocketConfig, Wire
from excise.errors import SourceError
from excise.sources import syslog_tcp
from excise.sources.syslog_tcp import SyslogTcp


@pytest.fixture
def sources():
    opened = []

    def make(**how):
        config = SocketConfig(Wire.TCP, syslog=True, **{"address": ("127.0.0.1", 0)} | how)
        opened.append(SyslogTcp(config))
        return opened[-1]

    yield make
    for source in opened:
        source.close()


@pytest.fixture
def connect():
    opened = []

    def to(source):
        opened.append(socket.create_connection(("127.0.0.1", source.port), timeout=5))
        return opened[-1]

    yield to
    for one in opened:
        one.close()


def read(source, count):
    """Read so many lines."""

    async def reading():
        lines = []
        while len(lines) < count:
            chunk = source.poll()
            if chunk is None:
                await source.changed()
            else:
                lines += chunk.lines
        return lines

    return asyncio.run(asyncio.wait_for(reading(), 10))


def settle(source, condition):
    """Look until a condition holds."""

    async def looking():
        while not condition():
            source.poll()
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(looking(), 10))


def test_messages_of_several_connections_arrive(sources, connect):
    source = sources()
    one, two = connect(source), connect(source)
    one.sendall(b'<190>Nov 23 14:37:26 h t: {"a": 1}\n')
    two.sendall(b"31 <13>1 - h a - - - counted\nlines")

    assert {b'{"a": 1}', b"counted\nlines"} == set(read(source, 2))
    assert "2 connected" == source.note


def test_a_message_cut_short_is_lost_and_counted(sources, connect):
    source = sources()
    one = connect(source)
    one.sendall(b"<1>whole\n99 <1>half")
    assert [b"whole"] == read(source, 1)
    one.close()
    settle(source, lambda: source.toll.lost["cut"])

    assert ({"cut": 1}, 0) == (source.toll.lost, len(source._connections))


def test_a_last_line_without_newline_arrives_at_the_end(sources, connect):
    source = sources()
    one = connect(source)
    one.sendall(b"<1>last")
    one.close()

    assert [b"last"] == read(source, 1)


def test_a_reset_connection_ends_and_the_others_go_on(sources, connect):
    source = sources()
    one, two = connect(source), connect(source)
    settle(source, lambda: len(source._connections) == 2)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    one.close()
    settle(source, lambda: len(source._connections) == 1)
    two.sendall(b"<1>here\n")

    assert [b"here"] == read(source, 1)


def test_only_peers_that_are_allowed_are_heard(sources, connect):
    source = sources(allow=("192.0.2.0/24",))
    one = connect(source)
    settle(source, lambda: source.toll.refused["peer"])

    assert b"" == one.recv(1)


def test_connections_beyond_the_bound_are_refused_and_counted(sources, connect, monkeypatch):
    monkeypatch.setattr(syslog_tcp, "MOST_CONNECTIONS", 2)
    source = sources()
    some = [connect(source) for _ in range(3)]
    settle(source, lambda: source.toll.refused["connections"])

    assert b"" == some[2].recv(1)
    assert 2 == len(source._connections)


def test_a_line_that_is_too_long_is_counted_and_the_next_arrives(sources, connect):
    source = sources()
    one = connect(source)
    for _ in range(30):
        one.sendall(b"x" * 10_000)
        source.poll()
    one.sendall(b"\n<1>next\n")

    assert [b"next"] == read(source, 1)
    assert {"too-long": 1} == source.toll.refused


def test_one_poll_takes_a_bounded_amount_and_a_fair_share(sources, connect, monkeypatch):
    monkeypatch.setattr(syslog_tcp, "_READ_BYTES", 10)
    source = sources()
    loud, quiet = connect(source), connect(source)
    settle(source, lambda: len(source._connections) == 2)
    loud.sendall(b"<1>loud!!\n" * 100)
    quiet.sendall(b"<1>quiet!\n")

    first = read(source, 5)[:5]
    assert [b"quiet!"] == [line for line in first if line == b"quiet!"]


def test_an_address_in_use_is_said(sources):
    source = sources()
    with pytest.raises(SourceError, match="the address is in use"):
        sources(address=("127.0.0.1", source.port))
