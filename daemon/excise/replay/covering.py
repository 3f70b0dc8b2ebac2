"""Which enforcing decision covers a record: one dictionary per prefix length. Pure."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TypeVar

from excise.model.decision import Action, Decision, Plane
from excise.model.record import Record

CACHE_SIZE = 262_144
STOPPING = frozenset({Action.DROP, Action.DENY})
K = TypeVar("K")


class Cover:
    """A decision while it holds, and the records that met it by (client, account)."""

    __slots__ = ("decision", "met", "stops")

    def __init__(self, decision: Decision) -> None:
        self.decision = decision
        self.stops = decision.action in STOPPING
        self.met: dict[tuple[str, str], list[int]] = {}


class Covering:
    """The active enforcing decisions, found by client address and account."""

    __slots__ = ("_accounts", "_addresses", "_hosts", "_prefixes")

    def __init__(self) -> None:
        self._hosts: dict[str, Cover] = {}
        self._prefixes: dict[tuple[int, int], dict[int, Cover]] = {}
        self._accounts: dict[str, Cover] = {}
        self._addresses: dict[str, tuple[int, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._hosts or self._accounts or self._prefixes)

    def put(self, plane: Plane, target: str, cover: Cover | None) -> None:
        """Let a cover hold for a target from now on, or none."""
        if plane is Plane.ACCOUNT:
            _put(self._accounts, target, cover)
            return
        net = ip_network(target)
        host_bits = net.max_prefixlen - net.prefixlen
        if not host_bits:
            _put(self._hosts, str(net.network_address), cover)
            return
        prefixes = self._prefixes.setdefault((net.version, host_bits), {})
        _put(prefixes, int(net.network_address) >> host_bits, cover)
        if not prefixes:
            del self._prefixes[net.version, host_bits]

    def find(self, record: Record) -> Cover | None:
        """Return the strictest cover of a record; of two alike, the network's."""
        found = self._hosts.get(record.client)
        if self._prefixes and not (found and found.stops):
            found = self._wider(record.client, found)
        if found and found.stops:
            return found
        account = self._accounts.get(record.account)
        return account if account and (not found or account.stops) else found

    def _wider(self, client: str, found: Cover | None) -> Cover | None:
        version, address = self._addresses.get(client) or self._parse(client)
        for (of_version, host_bits), prefixes in self._prefixes.items():
            if of_version != version:
                continue
            wider = prefixes.get(address >> host_bits)
            if wider and (not found or wider.stops):
                found = wider
        return found

    def _parse(self, client: str) -> tuple[int, int]:
        if len(self._addresses) >= CACHE_SIZE:
            self._addresses.clear()
        address = ip_address(client)
        self._addresses[client] = parsed = (address.version, int(address))
        return parsed


def _put(table: dict[K, Cover], key: K, cover: Cover | None) -> None:
    if cover is None:
        table.pop(key, None)
    else:
        table[key] = cover
