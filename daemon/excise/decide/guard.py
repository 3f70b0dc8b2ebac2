"""What no decision may cover: configured networks, found ones, and the operator's allowlist."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, replace

from excise.errors import InvalidError
from excise.model.view import AllowView

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LOOPBACK = "loopback"


def parse_network(text: str) -> Network:
    """Parse an address or CIDR; host bits are cut. Raises InvalidError."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise InvalidError(f"{text!r} is not an address or a CIDR") from error


def overlaps(a: Network, b: Network) -> bool:
    """Whether two networks share an address; families never do."""
    if isinstance(a, ipaddress.IPv4Network):
        return isinstance(b, ipaddress.IPv4Network) and a.overlaps(b)
    return isinstance(b, ipaddress.IPv6Network) and a.overlaps(b)


def within(inner: Network, outer: Network) -> bool:
    """Whether a network lies inside another."""
    if isinstance(inner, ipaddress.IPv4Network):
        return isinstance(outer, ipaddress.IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, ipaddress.IPv6Network) and inner.subnet_of(outer)


def without(cidrs: Iterable[str], holes: Iterable[str]) -> list[str]:
    """Return CIDRs that cover what `cidrs` cover, without what `holes` cover."""
    left = [parse_network(cidr) for cidr in cidrs]
    for hole in map(parse_network, holes):
        left = [piece for network in left for piece in _around(network, hole)]
    return [str(network) for network in left]


def _around(network: Network, hole: Network) -> Iterable[Network]:
    if not overlaps(network, hole):
        return (network,)
    if within(network, hole):
        return ()
    if isinstance(network, ipaddress.IPv4Network) and isinstance(hole, ipaddress.IPv4Network):
        return network.address_exclude(hole)
    assert isinstance(network, ipaddress.IPv6Network)  # noqa: S101 - overlapping: one family
    assert isinstance(hole, ipaddress.IPv6Network)  # noqa: S101 - overlapping: one family
    return network.address_exclude(hole)


@dataclass(frozen=True, slots=True)
class Allowed:
    """One network and why it is safe; `until` is event time, None for good."""

    network: Network
    origin: str
    until: float | None = None

    @property
    def unconditional(self) -> bool:
        """Whether not even force makes it a target: the kernel passes it before all else."""
        return self.origin == LOOPBACK


class Guard:
    """Owns the networks. Always wins over rules; over the operator too, unless forced."""

    def __init__(self, never_block: Iterable[str], trusted_proxies: Iterable[str]) -> None:
        self._fixed: list[Allowed] = []
        self._found: list[Allowed] = []
        self._operator: dict[Network, Allowed] = {}
        self.configure(never_block, trusted_proxies)

    def configure(self, never_block: Iterable[str], trusted_proxies: Iterable[str]) -> None:
        """Set what the configuration names."""
        self._fixed = [
            Allowed(ipaddress.ip_network("127.0.0.0/8"), LOOPBACK),
            Allowed(ipaddress.ip_network("::1/128"), LOOPBACK),
            *(Allowed(parse_network(c), "never_block") for c in never_block),
            *(Allowed(parse_network(c), "trusted proxy") for c in trusted_proxies),
        ]

    def protect(self, cidrs: Iterable[str]) -> None:
        """Set what the shell found on this host."""
        self._found = [Allowed(parse_network(c), "this host") for c in cidrs]

    def allow(self, network: Network, until: float | None) -> None:
        """Add to the operator's allowlist."""
        self._operator[network] = Allowed(network, "operator", until)

    def disallow(self, network: Network) -> bool:
        """Take from the operator's allowlist; False if it was not there."""
        return self._operator.pop(network, None) is not None

    def covering(self, network: Network, now: float) -> Allowed | None:
        """Return the first safe network that a decision on `network` would cover."""
        for allowed in self.entries(now):
            if overlaps(allowed.network, network):
                return allowed
        return None

    def entries(self, now: float) -> list[Allowed]:
        """Return everything that is safe at `now`."""
        lapsed = [n for n, a in self._operator.items() if a.until is not None and a.until <= now]
        for network in lapsed:
            del self._operator[network]
        return [*self._fixed, *self._found, *self._operator.values()]

    def step_back(self, seconds: float) -> None:
        """Follow a clock that was set back."""
        self._operator = {
            n: a if a.until is None else replace(a, until=a.until - seconds)
            for n, a in self._operator.items()
        }

    def views(self, now: float) -> list[AllowView]:
        """Return the same for showing."""
        return [AllowView(str(a.network), a.origin, a.until) for a in self.entries(now)]
