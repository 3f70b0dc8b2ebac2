"""A port speaks TLS if it answers a ClientHello as TLS does, a refusal included."""

import contextlib
import socket
import ssl
import threading

import pytest

from excise.doctor import asktls
from excise.doctor.asktls import ask, speaks_tls
from excise.doctor.listening import Listener
from excise.doctor.programs import NGINX, VLLM
from excise.doctor.survey import Running, Survey


def refuses(connection):
    """TLS without a certificate: an alert."""
    with contextlib.suppress(ssl.SSLError):
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).wrap_socket(connection, server_side=True)


def is_http(connection):
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def hangs_up(connection):
    connection.recv(1)


def is_silent(connection):
    while connection.recv(4096):
        pass


@pytest.fixture
def listening():
    """Serve one connection with a function; return the port."""
    threads = []
    with contextlib.ExitStack() as stack:

        def make(serve):
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def run():
                connection, _ = server.accept()
                with connection, contextlib.suppress(OSError):
                    serve(connection)

            threads.append(threading.Thread(target=run))
            threads[-1].start()
            return server.getsockname()[1]

        yield make
        for thread in threads:
            thread.join(10)


@pytest.mark.parametrize(
    ("serve", "expected"),
    [(refuses, True), (is_http, False), (hangs_up, False), (is_silent, False)],
)
def test_the_first_byte_of_the_answer_tells(listening, monkeypatch, serve, expected):
    if serve is is_silent:
        monkeypatch.setattr(asktls, "WAIT_S", 0.05)
    assert expected is speaks_tls(Listener("0.0.0.0", listening(serve)))


def test_what_does_not_listen_speaks_no_tls():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert not speaks_tls(Listener("127.0.0.1", port))


def test_only_gateways_that_others_reach_are_asked_and_only_where_the_number_does_not_tell():
    public = tuple(Listener("::", port) for port in (80, 443, 8080, 9000, 9001))
    found = Survey(
        running=(
            Running(NGINX, (*public, Listener("127.0.0.1", 9002))),
            Running(VLLM, (Listener("::", 9003),)),
            Running(NGINX, (Listener("::", 9004),), elsewhere=True),
        )
    )
    asked = []

    def speaks(one):
        asked.append(one.port)
        return one.port == 9000

    assert frozenset({9000}) == ask(found, speaks).tls_ports
    assert [9000, 9001] == asked
