"""Which of a gateway's ports speak TLS, where their numbers do not tell.

Such a port is sent a ClientHello, and the first byte of its answer looked at. A plaintext port
may log that as a bad request of this host, so ports of well-known numbers are left alone.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace

from excise.doctor.listening import Listener
from excise.doctor.survey import Survey

#: ports of a gateway that are taken for TLS, and for plaintext, without asking
TLS_PORTS = frozenset({443, 4443, 8443, 9443})
PLAIN_PORTS = frozenset({80, 8080})
#: a port that says nothing for so long is not known to speak TLS
WAIT_S = 1.0
MOST_PORTS = 16
#: content types alert and handshake (RFC 8446 B.1): a refusal is TLS as well
_TLS = (b"\x15", b"\x16")
_HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, nothing is bound


def ask(found: Survey, speaks: Callable[[Listener], bool] | None = None) -> Survey:
    """Return a survey with the ports of gateways of this network namespace that speak TLS."""
    asks = speaks or speaks_tls
    sockets = {
        one.port: one
        for running in found.running
        if not (running.elsewhere or running.program.serves_model)
        for one in running.sockets
        if not one.local
    }
    unknown = sorted(sockets.keys() - TLS_PORTS - PLAIN_PORTS)[:MOST_PORTS]
    return replace(found, tls_ports=frozenset(port for port in unknown if asks(sockets[port])))


def speaks_tls(one: Listener) -> bool:
    """Whether what listens answers a ClientHello as TLS does, from this host at least."""
    address = (_HERE.get(one.address, one.address), one.port)
    try:
        with socket.create_connection(address, timeout=WAIT_S) as connection:
            connection.sendall(_hello())
            return connection.recv(1) in _TLS
    except OSError:
        return False


def _hello() -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # Nothing is sent but this: whose certificate it is does not matter.
    context.verify_mode = ssl.CERT_NONE
    sent = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent).do_handshake()
    return sent.read()
