"""Datagrams: on a unix socket and over UDP, bare and with syslog headers."""

import asyncio
import socket
from pathlib import Path

import pytest

from excise.config import SocketConfig, Wire
from excise.decode.base import MAX_LINE_BYTES
from excise.errors import SourceError
from excise.sources import datagram as module
from excise.sources.base import State
from excise.sources.datagram import Datagram
from excise.sources.sockets import queue_length


@pytest.fixture
def sources():
    opened = []

    def make(config, **how):
        opened.append(Datagram(config, **how))
        return opened[-1]

    yield make
    for source in opened:
        source.close()


@pytest.fixture
def unix(tmp_path):
    return lambda **how: SocketConfig(Wire.UNIX, path=tmp_path / "in.sock", **how)


def udp(**how):
    return SocketConfig(Wire.UDP, syslog=True, address=("127.0.0.1", 0), **how)


def send(source, *messages, kind=socket.AF_UNIX):
    with socket.socket(kind, socket.SOCK_DGRAM) as sender:
        for message in messages:
            sender.sendto(message, source._socket.getsockname())


def test_a_datagram_is_a_line_or_several(unix, sources):
    source = sources(unix())
    assert source.poll() is None
    send(source, b'{"a": 1}', b"2\n", b"3\n4\n")

    assert [b'{"a": 1}', b"2", b"3", b"4"] == source.poll().lines
    assert State.READING is source.state


def test_a_syslog_datagram_is_one_line_without_its_header(unix, sources):
    source = sources(unix(syslog=True))
    send(source, b'<190>Nov 23 14:37:26 dg: {"a": 1}\n', b"bare\0", b"<190>Nov 23 14:37:26 t: a\nb")

    assert [b'{"a": 1}', b"bare", b"a\nb"] == source.poll().lines


def test_a_datagram_wakes_the_waiting(unix, sources):
    source = sources(unix())

    async def wait():
        waiting = asyncio.ensure_future(source.changed())
        await asyncio.sleep(0)
        send(source, b"1")
        await asyncio.wait_for(waiting, 5)

    asyncio.run(wait())
    assert [b"1"] == source.poll().lines


def test_a_datagram_that_is_too_long_is_cut_where_the_decoder_refuses_it(unix, sources):
    source = sources(unix())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, 32, 1 << 20)  # SO_SNDBUFFORCE
        sender.sendto(b"x" * (MAX_LINE_BYTES + 100), source._socket.getsockname())

    assert [MAX_LINE_BYTES + 1] == [len(line) for line in source.poll().lines]


def sends(sender, source):
    """Return whether a datagram was taken at once."""
    try:
        sender.sendto(b"x", source._socket.getsockname())
    except BlockingIOError:
        return False
    return True


def test_a_full_queue_is_told_since_its_senders_lose_lines(unix, sources):
    source = sources(unix())
    room = queue_length()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
        sent = sum(sends(sender, source) for _ in range(room + 2))

    assert room == sent == len(source.poll().lines)
    assert (room < 100) == ("raise net.unix.max_dgram_qlen" in source.note)
    assert {"queue-full": 1} == source.toll.lost


def test_only_peers_that_are_allowed_are_heard(sources):
    source = sources(udp(allow=("192.0.2.0/24",)))
    send(source, b"<1>x", b"<1>y", kind=socket.AF_INET)

    assert source.poll() is None
    assert {"peer": 2} == source.toll.refused


def test_loopback_is_allowed_by_default_also_as_a_mapped_address(sources):
    config = SocketConfig(Wire.UDP, syslog=True, address=("::", 0))
    source = sources(config)
    port = source._socket.getsockname()[1]
    for family, host, text in (
        (socket.AF_INET6, "::1", b"<1>six"),
        (socket.AF_INET, "127.0.0.1", b"<1>four"),
    ):
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.sendto(text, (host, port))

    assert [b"six", b"four"] == source.poll().lines


def test_what_the_kernel_dropped_is_counted(sources, monkeypatch):
    monkeypatch.setattr("excise.sources.sockets.RECEIVE_BYTES", 4096)
    source = sources(udp())
    sent = 200
    send(source, *[b"<1>" + b"x" * 1000] * sent, kind=socket.AF_INET)
    got = 0
    while chunk := source.poll():
        got += len(chunk.lines)

    assert 0 < got < sent
    assert {"receive-queue": sent - got} == source.toll.lost


def test_gaps_in_nginx_s_numbers_are_losses(unix, sources):
    now = [0.0]
    source = sources(unix(), clock=lambda: now[0])
    line = b'{"connection":"%d","connection_requests":"%d"}'
    send(source, line % (1, 1), line % (2, 1), line % (2, 4))
    source.poll()
    now[0] += 1000.0
    source.poll()

    assert {"sequence": 2} == source.toll.lost


def test_mode_and_group_are_set_and_the_file_goes_with_the_source(unix, sources):
    config = unix(mode=0o622, group="adm")
    source = sources(config)
    found = config.path.stat()

    assert (0o622, "adm") == (found.st_mode & 0o777, config.path.group())
    source.close()
    assert not config.path.exists()


def test_a_stale_socket_is_taken_over(unix, sources):
    config = unix()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(config.path))
    source = sources(config)
    send(source, b"1")

    assert [b"1"] == source.poll().lines


def test_a_socket_of_another_program_is_left_alone(unix, sources):
    config = unix()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(config.path))
        with pytest.raises(SourceError, match="is read by another program"):
            sources(config)
    config.path.unlink()
    config.path.write_text("precious")
    with pytest.raises(SourceError, match="is there and no socket"):
        sources(config)
    assert "precious" == config.path.read_text()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"path": Path("/nonexistent/in.sock")}, "the directory does not exist; make it"),
        ({"group": "no-such-group"}, "there is no group 'no-such-group'"),
    ],
)
def test_what_stands_in_the_way_is_said(tmp_path, sources, change, expected):
    config = SocketConfig(**{"wire": Wire.UNIX, "path": tmp_path / "a.sock"} | change)
    with pytest.raises(SourceError, match=expected):
        sources(config)


def test_an_address_in_use_is_said(sources):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        config = SocketConfig(Wire.UDP, syslog=True, address=other.getsockname())
        with pytest.raises(SourceError, match="the address is in use"):
            sources(config)


def test_one_poll_takes_a_bounded_amount(unix, sources, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_BYTES", 5)
    source = sources(unix())
    send(source, *[b"four"] * 5)

    chunks = [source.poll() for _ in range(3)]
    assert [2, 2, 1] == [len(chunk.lines) for chunk in chunks]
    assert [4, 4, 0] == [chunk.lag_bytes for chunk in chunks]  # of the next one
