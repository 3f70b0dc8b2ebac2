"""Sockets that lines are written to: opened, owned, and asked what they lost."""

from __future__ import annotations

import errno
import grp
import os
import socket
import stat
import struct
from contextlib import ExitStack, suppress
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from excise.config import SocketConfig, Wire
from excise.decode.trust import Network
from excise.errors import SourceError

#: what is asked for; the kernel gives what net.core.rmem_max allows, or all with CAP_NET_ADMIN
RECEIVE_BYTES = 8 << 20
# include/uapi/asm-generic/socket.h
_SO_RCVBUFFORCE = 33
_SO_MEMINFO = 55
#: include/uapi/linux/sock_diag.h: SK_MEMINFO_DROPS is the ninth of the numbers
_DROPS = 8
_MEMINFO = struct.Struct("9I")
_BACKLOG = 128


def open_socket(config: SocketConfig) -> socket.socket:
    """Return a socket that lines come to, and never blocks. Raises SourceError."""
    try:
        return _unix(config) if config.wire is Wire.UNIX else _inet(config)
    except OSError as error:
        raise SourceError(f"{config.name}: {_why(error)}") from error


def close_unix(path: Path, made: tuple[int, int]) -> None:
    """Remove a socket's file, if it is still the one that was made: (device, inode)."""
    with suppress(OSError):
        found = path.lstat()
        if (found.st_dev, found.st_ino) == made:
            path.unlink()


def dropped(sock: socket.socket) -> int:
    """Return how many messages the kernel dropped for want of room, since the socket is open.

    It tells of UDP; a full unix socket makes its senders wait or fail instead.
    """
    raw = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
    return int(_MEMINFO.unpack(raw)[_DROPS]) if len(raw) == _MEMINFO.size else 0


def queue_length(most: int = 10_000) -> int:
    """Return how many messages fit into a unix datagram socket before its senders feel it.

    Found out by filling one, since a hardened service does not see net.unix.max_dgram_qlen. A
    sender's own buffer is full first, perhaps: so there are several.
    """
    taken = 0
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        full.bind("")  # a name that the kernel chooses, in no directory
        while taken < most:
            sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            sent = _fill(stack.enter_context(sender), full.getsockname(), most - taken)
            if not sent:
                break
            taken += sent
    return taken


def _fill(sender: socket.socket, to: str | bytes, most: int) -> int:
    """Send until it fails; return how often it did not."""
    for sent in range(most):
        try:
            sender.sendto(b"", to)
        except BlockingIOError:
            return sent
    return most


def allows(networks: tuple[Network, ...], host: str) -> bool:
    """Whether a peer's address is within one of the networks."""
    address = ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return any((mapped or address) in network for network in networks)


def _unix(config: SocketConfig) -> socket.socket:
    _clear(config.path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        _enlarge(sock)
        mask = os.umask(0o777)  # nobody writes before mode and group are what they should be
        try:
            sock.bind(str(config.path))
        finally:
            os.umask(mask)
        if config.group is not None:
            os.chown(config.path, -1, _group(config.group))
        config.path.chmod(config.mode)
    except (OSError, SourceError):
        sock.close()
        raise
    return sock


def _inet(config: SocketConfig) -> socket.socket:
    host, port = config.address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    kind = socket.SOCK_STREAM if config.wire is Wire.TCP else socket.SOCK_DGRAM
    sock = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    try:
        if config.wire is Wire.TCP:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            _enlarge(sock)
        sock.bind((host, port))
        if config.wire is Wire.TCP:
            sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _clear(path: Path) -> None:
    """Remove the file of a socket that nobody listens on. Raises SourceError for anything else."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise SourceError(f"{path} is there and no socket; remove it, or name another path")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except OSError as error:
            raise SourceError(f"{path} belongs to another program: {error.strerror}") from error
    raise SourceError(f"{path} is read by another program; stop it, or name another path")


def _group(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise SourceError(f"there is no group {name!r}; make it, or leave `group` out") from None


def _enlarge(sock: socket.socket) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BYTES)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)


def _why(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "the address is in use; stop what listens there, or name another"
        case errno.EACCES | errno.EPERM:
            return "not permitted; a port below 1024, or a directory or group of others?"
        case errno.ENOENT:
            return "the directory does not exist; make it"
    return error.strerror or str(error)
