"""Who may do what: peer credentials on the unix socket, a bearer token on loopback TCP.

Browsers are kept out: a request that a page caused (Origin, Referer, cross-site) is refused, and
on TCP so is a Host that is not ours, against DNS rebinding.
"""

from __future__ import annotations

import hmac
import os
import socket
import struct
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from excise.api.problem import NoRightError

#: include/uapi/asm-generic/socket.h; the `socket` module does not name it
SO_PEERGROUPS = 59
_UCRED = struct.Struct("3i")
#: most that `getsockopt` of CPython returns: 256 groups
_GROUPS_BYTES = 1024


class Right(StrEnum):
    """What a route takes, and what a caller has. WRITE includes READ."""

    NONE = "none"
    READ = "read"
    WRITE = "write"

    def covers(self, needed: Right) -> bool:
        """Whether a caller with this right may use a route that takes `needed`."""
        order = (Right.NONE, Right.READ, Right.WRITE)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end of a unix socket, as the kernel tells it (unix(7))."""

    pid: int
    uid: int
    groups: frozenset[int]


@dataclass(frozen=True, slots=True)
class Access:
    """What rights are decided by. `token` is None where there is no TCP listener."""

    socket_path: Path
    token: str | None
    hosts: frozenset[str]


def read_peer(sock: socket.socket) -> Peer:
    """Return the peer of a connected unix socket; groups past the 256th are not seen."""
    pid, uid, gid = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, _GROUPS_BYTES)
    except OSError:  # ERANGE: more groups than fit; the primary one still counts
        raw = b""
    return Peer(pid, uid, frozenset({gid, *struct.unpack(f"{len(raw) // 4}I", raw)}))


def right_of_peer(peer: Peer, own_uid: int, socket_gid: int) -> Right:
    """Return WRITE for root and the daemon's own user, READ for the socket's group."""
    if peer.uid in {0, own_uid}:
        return Right.WRITE
    return Right.READ if socket_gid in peer.groups else Right.NONE


def right_of_bearer(header: str, token: str | None) -> Right:
    """Return WRITE for `Bearer <token>`. Raises HTTPUnauthorized for anything else."""
    scheme, _, given = header.partition(" ")
    sent = given.encode(errors="surrogateescape")  # aiohttp's way with bytes that are no UTF-8
    if token and scheme.lower() == "bearer" and hmac.compare_digest(sent, token.encode()):
        return Right.WRITE
    raise web.HTTPUnauthorized(
        text="give the API token: Authorization: Bearer TOKEN",
        headers={"WWW-Authenticate": 'Bearer realm="excise"'},
    )


def require(request: web.Request, access: Access, needed: Right) -> None:
    """Let the caller pass or raise NoRightError or HTTPUnauthorized."""
    if needed is Right.NONE:
        return
    sock = _socket_of(request)
    if sock.family != socket.AF_UNIX:
        right_of_bearer(request.headers.get("Authorization", ""), access.token)
        return
    peer = read_peer(sock)
    has = right_of_peer(peer, os.geteuid(), access.socket_path.stat().st_gid)
    if not has.covers(needed):
        raise NoRightError(
            f"uid {peer.uid} may {'only read' if has is Right.READ else 'not use this socket'}; "
            "writing takes root or the daemon's user, reading the socket's group"
        )


def _socket_of(request: web.Request) -> socket.socket:
    sock = request.transport.get_extra_info("socket") if request.transport else None
    if sock is None:
        raise NoRightError("the connection is gone")
    return sock  # type: ignore[no-any-return]  # a TransportSocket, asyncio's view of a socket


def gate(access: Access) -> Middleware:
    """Return the middleware that keeps browsers and rebound names out."""

    @web.middleware
    async def keep_out(request: web.Request, handler: Handler) -> web.StreamResponse:
        if _socket_of(request).family != socket.AF_UNIX and not _is_ours(request.host, access):
            raise web.HTTPMisdirectedRequest(text="this Host is not served here")
        for name in ("Origin", "Referer"):
            if name in request.headers:
                raise web.HTTPForbidden(text=f"requests with {name} are refused: no pages here")
        if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
            raise web.HTTPForbidden(text="cross-site requests are refused")
        return await handler(request)

    return keep_out


def _is_ours(host: str, access: Access) -> bool:
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    return name.strip("[]").lower() in access.hosts
