"""What listens, as the kernel tells it."""

import socket

import pytest

from excise.doctor.listening import Listener, listeners


def test_only_what_listens_is_told_by_port(proc):
    proc.sockets(
        ("0100007F:1F40", "0A", 11), ("00000000:01BB", "0A", 12), ("0100007F:01BB", "01", 13)
    )
    proc.sockets(("0000000000000000FFFF00000100007F:0050", "0A", 14), name="tcp6")
    expected = [
        Listener("127.0.0.1", 80, 14),
        Listener("0.0.0.0", 443, 12),
        Listener("127.0.0.1", 8000, 11),
    ]
    found = listeners(proc.path / "self" / "net")
    assert (expected, [True, False, True]) == (found, [one.local for one in found])


def test_a_real_socket_is_found():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert [port] == [one.port for one in listeners() if one.port == port]


def test_where_nothing_can_be_read_it_says_so(tmp_path):
    with pytest.raises(OSError, match="cannot be read"):
        listeners(tmp_path)
