"""The addresses that this host cannot do without: what no decision may ever cover.

Read-only. Each finder raises OSError or SourceError on its own, so that one blind spot does not
hide the others.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from pyroute2 import IPRoute, NetlinkError

from excise.errors import SourceError

SSH_PORT = 22
#: state ESTABLISHED in /proc/net/tcp (include/net/tcp_states.h)
ESTABLISHED = "01"
_PORT = re.compile(r"^\s*Port\s+(\d+)\s*(?:#.*)?$", re.IGNORECASE | re.MULTILINE)
_NAMESERVER = re.compile(r"^\s*nameserver\s+(\S+)", re.MULTILINE)

Finder = Callable[[], set[str]]


@dataclass(frozen=True, slots=True)
class Findings:
    """Networks to protect in canonical CIDR text, sorted, and what could not be looked up."""

    cidrs: tuple[str, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Places:
    """Where the host says what it needs. `/proc/self/net` is there under ProcSubset=pid too."""

    resolv_conf: Path = Path("/etc/resolv.conf")
    proc_net: Path = Path("/proc/self/net")
    sshd_config: Path = Path("/etc/ssh/sshd_config")


def discover(places: Places | None = None, *, own_only: bool = False) -> Findings:
    """Look up own addresses, default gateways, resolvers and peers of live SSH sessions.

    With `own_only` the own addresses alone.
    """
    where = places or Places()
    finders: tuple[Finder, ...] = (
        own_addresses,
        gateways,
        lambda: resolvers(where.resolv_conf),
        lambda: ssh_peers(where.proc_net, ssh_ports(where.sshd_config)),
        lambda: ssh_connection(os.environ.get("SSH_CONNECTION", "")),
    )
    if own_only:
        finders = (own_addresses,)
    found: set[str] = set()
    problems: list[str] = []
    for finder in finders:
        try:
            found |= finder()
        except (OSError, SourceError) as error:
            problems.append(str(error))
    return Findings(cidrs=tuple(sorted(canonical(found))), problems=tuple(problems))


def canonical(addresses: Iterable[str]) -> set[str]:
    """Return /32 and /128 networks; loopback, unspecified and unreadable ones are left out."""
    networks = set()
    for text in addresses:
        address = _parse(text)
        if address is not None and not (address.is_loopback or address.is_unspecified):
            networks.add(f"{address}/{address.max_prefixlen}")
    return networks


def own_addresses() -> set[str]:
    """Return the addresses of this host and of point-to-point peers, over rtnetlink."""
    try:
        with IPRoute() as route:
            links = list(route.get_addr())
    except NetlinkError as error:
        raise SourceError(f"cannot list addresses: {error}") from error
    found = {link.get_attr(name) for link in links for name in ("IFA_ADDRESS", "IFA_LOCAL")}
    return {address for address in found if address}


def gateways() -> set[str]:
    """Return the default gateways, over rtnetlink."""
    try:
        with IPRoute() as route:
            routes = list(route.get_default_routes())
    except NetlinkError as error:
        raise SourceError(f"cannot list routes: {error}") from error
    hops = [hop for entry in routes for hop in entry.get_attr("RTA_MULTIPATH") or ()]
    found = {entry.get_attr("RTA_GATEWAY") for entry in (*routes, *hops)}
    return {address for address in found if address}


def resolvers(resolv_conf: Path) -> set[str]:
    """Return the name servers that `resolv_conf` names; none if there is no such file."""
    try:
        return set(_NAMESERVER.findall(resolv_conf.read_text(errors="replace")))
    except FileNotFoundError:
        return set()


def ssh_ports(sshd_config: Path) -> set[int]:
    """Return the ports that sshd is configured for; 22 where that cannot be read."""
    ports: set[int] = set()
    for path in (sshd_config, *sorted(sshd_config.with_name("sshd_config.d").glob("*.conf"))):
        try:
            ports |= {int(port) for port in _PORT.findall(path.read_text(errors="replace"))}
        except OSError:
            # Commonly unreadable for a service user; the standard port is then the best guess.
            continue
    return ports or {SSH_PORT}


def ssh_peers(proc_net: Path, ports: set[int]) -> set[str]:
    """Return the peers of established TCP connections to one of `ports` (proc(5), net/tcp)."""
    peers: set[str] = set()
    for name in ("tcp", "tcp6"):
        path = proc_net / name
        if path.exists():
            peers |= _peers(path.read_text().splitlines()[1:], ports)
    return peers


def ssh_connection(variable: str) -> set[str]:
    """Return the client of `$SSH_CONNECTION`: `client port server port` (ssh(1))."""
    fields = variable.split()
    return {fields[0]} if len(fields) == 4 else set()


def _peers(lines: list[str], ports: set[int]) -> set[str]:
    peers = set()
    for line in lines:
        _, local, remote, state, *_ = line.split()
        if state == ESTABLISHED and int(local.rpartition(":")[2], 16) in ports:
            peers.add(from_proc(remote.rpartition(":")[0]))
    return peers


def from_proc(text: str) -> str:
    """Turn an address as the kernel prints it, in 32-bit words of host order, into text."""
    words = [int(text[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(text), 8)]
    family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
    return socket.inet_ntop(family, b"".join(words))


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
