"""Which address is the client: the walk over X-Forwarded-For, from the socket outwards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from excise.decode.address import canonical, hop, told_for
from excise.errors import InvalidError

Network = IPv4Network | IPv6Network
#: hops looked at; a longer header is written by somebody who wants to keep us busy
MAX_HOPS = 32
_CACHE_SIZE = 65_536
#: how gateways name a peer on a unix socket, and how `trusted_proxies` does
UNIX = "unix:"
#: a peer that is not the client, though nobody logs who it is
UNTOLD = "0.0.0.0"  # noqa: S104 - the unspecified address, nothing is bound to it
FORWARDED_FOR, FORWARDED = "x-forwarded-for", "forwarded"
#: which header the trusted proxies write
HEADERS = (FORWARDED_FOR, FORWARDED)


@dataclass(frozen=True, slots=True)
class Told:
    """What a line says about where a request came from.

    `socket`: canonical address of the peer, `UNIX`, or `""` where only the header tells it and
    its nearest hop was written by the gateway itself. `behind`: a proxy stands between for sure.
    """

    socket: str
    proxy_protocol: str = ""
    forwarded_for: str = ""
    forwarded: str = ""
    behind: bool = False


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
    """The proxies whose word about the hop before them is taken.

    `unix`: whoever connects through a unix socket is one of them. `header`: what they write, and
    so the one header that is believed where both are there; a client may have sent the other.
    """

    __slots__ = ("_header", "_known", "_networks", "_unix")

    def __init__(
        self, networks: Sequence[Network], *, unix: bool = False, header: str = FORWARDED_FOR
    ) -> None:
        self._networks = tuple(networks)
        self._unix = unix
        self._header = header
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
        return self.find(Told(socket_peer, forwarded_for=forwarded_for))

    def find(self, told: Told) -> tuple[str, str]:
        """Return (client, peer) as `walk` does, of everything that a line says.

        A trusted peer that is on this host (loopback, a unix socket) has no packets of its own
        for the kernel to see: the hop it saw is then the peer. Peer is `UNTOLD` where somebody
        stands between and nobody says who. Returns `("", "")` where no address can be believed.
        """
        client = peer = told.socket
        local = client in {UNIX, ""} or (_is_loopback(client) and self.cover(client))
        if client == UNIX and not self._unix:
            return "", ""
        for address in self._believed(told):
            client = address
            if local:
                peer, local = address, _is_loopback(address) and self.cover(address)
        if client in {UNIX, ""}:
            return "", ""
        if told.behind:
            peer = UNTOLD
        return client, "" if client == peer else peer

    def _believed(self, told: Told) -> Iterator[str]:
        """Yield the hops behind the socket's peer that may be believed, nearest first."""
        reached = told.socket
        if told.proxy_protocol and self._trusts(reached):
            reached = canonical(told.proxy_protocol)
            if not reached:
                return
            yield reached
        for text in self._hops(told):
            if not self._trusts(reached):
                return
            reached = hop(text)
            if not reached:
                return
            yield reached

    def _trusts(self, reached: str) -> bool:
        """Whether what an address says is believed; `""` is a peer that the gateway vouches for."""
        return not reached or (self._unix if reached == UNIX else self.cover(reached))

    def _hops(self, told: Told) -> Iterator[str]:
        """Yield the hops of the one header that this host's proxies write, nearest first."""
        if told.forwarded_for and self._header != FORWARDED:
            yield from reversed(told.forwarded_for.rsplit(",", MAX_HOPS)[-MAX_HOPS:])
        elif told.forwarded:
            yield from map(told_for, reversed(told.forwarded.rsplit(",", MAX_HOPS)[-MAX_HOPS:]))

    def unbelieved(self, told: Told) -> int:
        """Return how many hops a header tells that are not believed: its peer is not trusted.

        Hops that name the peer itself do not count; some gateways append it to what they log.
        """
        if not (told.forwarded_for or told.forwarded) or self._trusts(told.socket):
            return 0
        return sum(hop(text) != told.socket for text in self._hops(told))


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"
