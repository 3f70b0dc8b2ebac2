"""How much clients have sent to the service's ports: sock_diag(7), which takes no right.

The kernel counts the bytes received on each TCP connection. Connections of other network
namespaces (containers with an address of their own) are not seen.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator

# linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
#: family, protocol, extensions, padding, states; then ports, addresses, interface, cookie
_REQUEST = struct.Struct("=BBBxI" + "H2x32xI8x")
_MESSAGE_BYTES = 72
_COOKIE = slice(44, 52)
_ATTRIBUTE = struct.Struct("=HH")
_INFO = 2
_WANT_INFO = 1 << (_INFO - 1)
#: established, both fin-waits, close-wait, last-ack, closing (net/tcp_states.h): those with data
_STATES = sum(1 << state for state in (1, 4, 5, 8, 9, 11))
#: tcpi_bytes_received in struct tcp_info (linux/tcp.h)
_RECEIVED = struct.Struct("=128xQ")
#: more connections than this are not looked at: it is enough to know that there is traffic
MOST_CONNECTIONS = 20_000
_BUFFER_BYTES = 1 << 18
_TIMEOUT_S = 2.0


def received_bytes(ports: Iterable[int]) -> dict[bytes, int]:
    """Return the bytes received on each open connection to local ports, by the socket's cookie.

    Raises OSError where the kernel does not tell.
    """
    found: dict[bytes, int] = {}
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG) as netlink:
        netlink.settimeout(_TIMEOUT_S)
        for port in ports:
            for family in (socket.AF_INET, socket.AF_INET6):
                netlink.send(_ask(family, port))
                for payload in _answers(netlink):
                    if len(found) < MOST_CONNECTIONS:
                        found[payload[_COOKIE]] = _received(payload)
    return found


def _ask(family: int, port: int) -> bytes:
    body = _REQUEST.pack(family, socket.IPPROTO_TCP, _WANT_INFO, _STATES, socket.htons(port), 0)
    return _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _DUMP, 1, 0) + body


def _answers(netlink: socket.socket) -> Iterator[bytes]:
    """Yield the payload of each message of a dump. Raises OSError."""
    while True:
        data = netlink.recv(_BUFFER_BYTES)
        at = 0
        while at + _HEADER.size <= len(data):
            length, kind, *_ = _HEADER.unpack_from(data, at)
            payload = data[at + _HEADER.size : at + length]
            if kind == _NLMSG_DONE:
                return
            if kind == _NLMSG_ERROR:
                (number,) = struct.unpack_from("=i", payload)
                raise OSError(-number, "sock_diag refused the question")
            yield payload
            at += (length + 3) & ~3


def _received(payload: bytes) -> int:
    at = _MESSAGE_BYTES
    while at + _ATTRIBUTE.size <= len(payload):
        length, kind = _ATTRIBUTE.unpack_from(payload, at)
        if kind == _INFO and length >= _ATTRIBUTE.size + _RECEIVED.size:
            return int(_RECEIVED.unpack_from(payload, at + _ATTRIBUTE.size)[0])
        at += max(4, (length + 3) & ~3)
    return 0
