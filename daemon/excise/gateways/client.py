"""Who asked, as a model server behind a gateway sees it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from excise.gateways.settings import TapSettings
from excise.model.record import short_name

Address = IPv4Address | IPv6Address
FORWARDED = "x-forwarded-for"
MOST_HOPS = 32
MOST_PORT = 65_535
#: the record's way to say that somebody stands between, whom nobody named
UNKNOWN_PEER = "0.0.0.0"  # noqa: S104 - a value in a log, nothing is bound
#: what a gateway on the way may tell: request header → record field
TOLD = {
    "x-excise-tls": "tls",
    "x-excise-sni": "sni",
    "x-excise-alpn": "alpn",
    "x-excise-ja4": "ja4",
}
#: as gateways spell it: `tls1.3`, `TLSv1.3`, `1.3`
_TLS = re.compile(r"(?:TLS ?v?)?1\.([0-3])", re.IGNORECASE)
TOLD_PORT = "x-excise-client-port"


@dataclass(frozen=True, slots=True)
class Origin:
    """The client, the peer (`""` where it is the client), the client's port (-1: not known).

    `gateway`: the request came through a peer that is believed.
    """

    client: str = ""
    peer: str = ""
    port: int = -1
    gateway: bool = False


def origin(
    peer: tuple[str, int] | None, headers: Mapping[str, str], settings: TapSettings
) -> Origin:
    """Return where a request came from; `peer` is None for a unix socket.

    X-Forwarded-For is walked from right to left while its teller is believed. A port of 0 is how
    uvicorn marks that it has done so itself.
    """
    hops = [hop for hop in headers.get(FORWARDED, "").split(",") if hop.strip()]
    if peer is None:
        return _behind(None, hops, settings) or Origin()
    address = parse_address(peer[0])
    if address is None:
        return Origin()
    if hops and peer[1] == 0:
        return _walked(address, hops, settings)
    direct = Origin(str(address), port=peer[1])
    return (_behind(address, hops, settings) or direct) if trusts(address, settings) else direct


def told(headers: Mapping[str, str]) -> dict[str, object]:
    """Return what a believed gateway tells about the client's connection."""
    found: dict[str, object] = {
        field: short_name(headers[name]) for name, field in TOLD.items() if headers.get(name)
    }
    if version := _TLS.fullmatch(headers.get("x-excise-tls", "")):
        found["tls"] = f"TLSv1.{version[1]}"
    port = headers.get(TOLD_PORT, "")
    if port.isascii() and port.isdecimal() and int(port[:6]) <= MOST_PORT:
        found["client_port"] = int(port)
    return found


def trusts(address: Address, settings: TapSettings) -> bool:
    """Whether an address's word on others is believed."""
    return any(address in network for network in settings.trusted)


def parse_address(text: str) -> Address | None:
    """Return an address of a hop: without port, brackets and zone; v4-mapped v6 is v4."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _walked(address: Address, hops: list[str], settings: TapSettings) -> Origin:
    """Return the origin where uvicorn has put the client in the peer's place."""
    if not settings.only_local:
        return Origin(str(address), UNKNOWN_PEER, gateway=True)
    nearest = parse_address(hops[-1])
    peer = "" if nearest in (None, address) else str(nearest)
    return Origin(str(address), peer, gateway=True)


def _behind(peer: Address | None, hops: list[str], settings: TapSettings) -> Origin | None:
    """Return the origin behind a believed peer (None: a unix socket), None if it names nobody."""
    reached: list[Address] = []
    for hop in reversed(hops[-MOST_HOPS:]):
        address = parse_address(hop)
        if address is None:
            break
        reached.append(address)
        if not trusts(address, settings):
            break
    if not reached:
        return None
    # A gateway on this host: the kernel sees whom the gateway sees.
    seen = reached[0] if peer is None or peer.is_loopback else peer
    client = reached[-1]
    return Origin(str(client), "" if seen == client else str(seen), gateway=True)
