"""Addresses that brought other people's requests: proxies, whether anybody configured them or not.

What a gateway logs as the peer of a client that is somebody else is a proxy. It is known as one
from the moment after it was first seen, so that where a log is cut does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

from excise.decode.trust import UNTOLD
from excise.features.directory import client_bits, client_name
from excise.features.state import Column

#: proxies kept; beyond, those that were not seen for longest are forgotten
MOST = 4096


class Proxies:
    """Owns when each proxy was first and last seen, by the name it has as a client."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, float]] = {}

    def see(self, peers: Sequence[str], clock: Column) -> None:
        """Note the peers of records, `""` where the client is the peer, at event times `clock`."""
        for peer, now in zip(peers, clock.tolist(), strict=True):
            if peer and peer != UNTOLD:
                name = client_name(*client_bits(peer))
                first, _ = self._seen.get(name, (now, now))
                self._seen[name] = first, now
        if len(self._seen) > MOST:
            newest = sorted(self._seen.items(), key=lambda item: item[1][1])[-MOST // 2 :]
            self._seen = dict(newest)

    def inside(self, target: str, now: float) -> bool:
        """Whether a target (CIDR) covers a proxy that was seen before `now`."""
        if not self._seen:
            return False
        if target in self._seen:
            return self._seen[target][0] < now
        outer = ip_network(target)
        if outer.prefixlen >= (32 if outer.version == 4 else 64):
            return False
        return any(first < now and _covers(outer, name) for name, (first, _) in self._seen.items())

    def step_back(self, seconds: float) -> None:
        """Follow a clock that was set back."""
        self._seen = {
            n: (first - seconds, last - seconds) for n, (first, last) in self._seen.items()
        }

    def dump(self) -> list[tuple[str, float, float]]:
        """Return (name, first seen, last seen) of each."""
        return [(name, first, last) for name, (first, last) in self._seen.items()]

    def load(self, seen: Iterable[tuple[str, float, float]]) -> None:
        """Load what `dump` returned."""
        self._seen = {name: (first, last) for name, first, last in seen}


def _covers(outer: IPv4Network | IPv6Network, name: str) -> bool:
    inner = ip_network(name)
    if isinstance(outer, IPv4Network):
        return isinstance(inner, IPv4Network) and inner.subnet_of(outer)
    return isinstance(inner, IPv6Network) and inner.subnet_of(outer)
