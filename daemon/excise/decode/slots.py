"""What a log line says before it is settled: the record's fields, and slots that lead to them.

A format maps each of its columns or keys to a slot. Slots named like a field of the record are
that field; the others below are looked at together (`assemble`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

#: who the gateway says the client is, after its own real-IP step: address, `address:port`, `unix:`
REMOTE = "remote"
REMOTE_PORT = "remote_port"
#: the TCP peer, where the gateway has put another address into REMOTE
SOCKET = "socket"
SOCKET_PORT = "socket_port"
#: the source address in a PROXY protocol header, which the TCP peer wrote
PROXY_PROTOCOL = "proxy_protocol"
PROXY_PROTOCOL_PORT = "proxy_protocol_port"
#: headers that tell of hops
FORWARDED_FOR = "forwarded_for"
FORWARDED = "forwarded"
#: a user name, key or token, raw: only its keyed hash goes on
CLAIM = "claim"
#: the request line
REQUEST = "request"
#: when the request began; its end is the begin and the duration
START = "start"
#: true where requests come through a balancer whose own address nobody logs
BEHIND = "behind"

#: slots that `assemble` settles; all others are fields of the record
JOINT = frozenset(
    {
        REMOTE,
        REMOTE_PORT,
        SOCKET,
        SOCKET_PORT,
        PROXY_PROTOCOL,
        PROXY_PROTOCOL_PORT,
        FORWARDED_FOR,
        FORWARDED,
        CLAIM,
        REQUEST,
        START,
        BEHIND,
    }
)

#: from a value as it is written to one as the slot wants it; raises LineRejectedError
Read = Callable[[object], object]


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a value goes and how it is read; `read` None: as it is.

    Where several values of a line fill a slot, the known one of the lowest rank wins.
    """

    name: str
    read: Read | None = None
    rank: int = 0
