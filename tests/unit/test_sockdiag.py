"""What clients sent to a port, as the kernel counts it."""

import socket

import pytest

from excise.sockdiag import received_bytes


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_what_each_open_connection_received_is_told(host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        port = server.getsockname()[1]
        assert {} == received_bytes([port])
        with socket.create_connection((host, port)) as client:
            inside, _ = server.accept()
            with inside:
                client.sendall(b"x" * 5000)
                assert b"x" * 5000 == inside.recv(5000, socket.MSG_WAITALL)
                inside.sendall(b"y" * 70_000)  # what the service sends does not count

                assert [5000] == list(received_bytes([port]).values())
                assert {} == received_bytes([1])
