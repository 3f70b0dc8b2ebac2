"""Which address is the client: the walk over X-Forwarded-For, from the socket outwards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from excise.decode.address import hop
from excise.errors import InvalidError

Network = IPv4Network | IPv6Network
#: hops looked at; a longer header is written by somebody who wants to keep us busy
MAX_HOPS = 32
_CACHE_SIZE = 65_536


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Parse CIDRs or addresses. Raises InvalidError that names the one that is neither."""
    networks: list[Network] = []
    for text in texts:
        try:
            networks.append(ip_network(text))
        except ValueError as error:
            raise InvalidError(
                f"{text!r} is no network: {error}", hint="write it as 192.0.2.0/24 or 2001:db8::/32"
            ) from None
    return tuple(networks)


class TrustedProxies:
    """The proxies whose word about the hop before them is taken."""

    __slots__ = ("_known", "_networks")

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = tuple(networks)
        self._known: dict[str, bool] = {}

    def cover(self, address: str) -> bool:
        """Whether a canonical address belongs to a trusted proxy."""
        if not self._networks:
            return False
        known = self._known.get(address)
        if known is None:
            if len(self._known) >= _CACHE_SIZE:
                self._known.clear()
            parsed = ip_address(address)
            known = any(parsed in network for network in self._networks)
            self._known[address] = known
        return known

    def walk(self, socket_peer: str, forwarded_for: str) -> tuple[str, str]:
        """Return (client, peer), both canonical; peer is `""` where it is the client itself.

        Hops are read from right to left as long as the address reached so far is trusted: the
        first one that is not is the client. The header of an untrusted peer says nothing, and
        junk ends the walk at the last good hop. `socket_peer` is canonical.
        """
        client = socket_peer
        if forwarded_for and self.cover(client):
            for text in reversed(forwarded_for.rsplit(",", MAX_HOPS)[-MAX_HOPS:]):
                address = hop(text)
                if not address:
                    break
                client = address
                if not self.cover(client):
                    break
        return client, "" if client == socket_peer else socket_peer
