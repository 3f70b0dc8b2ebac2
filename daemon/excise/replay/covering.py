"""Which enforcing decisions cover which records: a dictionary per prefix length. Pure.

This runs once per record of a replay, so it is written for speed: three look-ups a record.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address, ip_network
from typing import TypeVar

from excise.model.decision import Action, Decision, DecisionEvent, Op, Plane
from excise.model.record import Record
from excise.replay.chronicle import Chronicle

#: (client, account) pairs that are told apart; later ones count together, as BEYOND
MAX_PAIRS = 1_000_000
BEYOND = ("", "")
MAX_MEMO = 262_144
STOPPING = frozenset({Action.DROP, Action.DENY})
K = TypeVar("K")


class Cover:
    """A decision while it holds, and what met it by (client, account): records, output tokens."""

    __slots__ = ("decision", "met", "stops", "until")

    def __init__(self, decision: Decision) -> None:
        self.decision = decision
        self.stops = decision.action in STOPPING
        self.until = decision.until
        self.met: dict[tuple[str, str], list[int]] = {}

    def renew(self, decision: Decision) -> None:
        """Take over a later state of the same decision."""
        self.decision, self.until = decision, decision.until


class Covering:
    """All enforcing decisions of a replay; those that hold now, by address and account."""

    def __init__(self, chronicle: Chronicle | None = None) -> None:
        self._chronicle = chronicle
        self._hosts: dict[str, Cover] = {}
        self._prefixes: dict[tuple[int, int], dict[int, Cover]] = {}
        self._accounts: dict[str, Cover] = {}
        self._placed: dict[tuple[Plane, str], Cover] = {}
        self._covers: dict[tuple[str, Action], Cover] = {}
        self._memo: dict[str, Cover | None] = {}
        self._numbers: dict[str, tuple[int, int]] = {}
        self._pairs = 0

    def covers(self) -> Iterable[Cover]:
        """Return every cover that ever held."""
        return self._covers.values()

    def take(self, change: DecisionEvent) -> None:
        """Follow one change of a decision."""
        decision = change.decision
        cover = None
        if decision.enforcing and change.op not in (Op.LIFT, Op.EXPIRE):
            key = (decision.id, decision.action)
            cover = self._covers.get(key)
            if cover is None:
                cover = self._covers[key] = Cover(decision)
            cover.renew(decision)
        where = (decision.plane, decision.target)
        if self._placed.get(where) is not cover:
            _put(self._placed, where, cover)
            self._put(decision.plane, decision.target, cover)

    def follow(self, records: Sequence[Record], begin: int, ts: float) -> int:
        """Charge records from `begin` on that came before `ts`; return where that ends."""
        hosts, accounts, memo = self._hosts, self._accounts, self._memo
        prefixed = bool(self._prefixes)
        for at in range(begin, len(records)):
            record = records[at]
            now = record.ts
            if now >= ts:
                return at
            client = record.client
            found = hosts.get(client)
            if prefixed and (found is None or not found.stops):
                wider = memo[client] if client in memo else self._widest(client)
                if wider is not None and (found is None or wider.stops):
                    found = wider
            if found is None or not found.stops:
                account = accounts.get(record.account)
                if account is not None and (found is None or account.stops):
                    found = account
            if found is not None and found.until > now:
                self._charge(record, found)
        return len(records)

    def _charge(self, record: Record, cover: Cover) -> None:
        if self._chronicle is not None:
            self._chronicle.charge(record, stops=cover.stops)
        key = (record.client, record.account)
        met = cover.met.get(key)
        if met is None:
            if self._pairs >= MAX_PAIRS:
                key = BEYOND
            self._pairs += 1
            met = cover.met.setdefault(key, [0, 0])
        met[0] += 1
        if record.output_tokens > 0:
            met[1] += record.output_tokens

    def _put(self, plane: Plane, target: str, cover: Cover | None) -> None:
        if plane is Plane.ACCOUNT:
            _put(self._accounts, target, cover)
            return
        net = ip_network(target)
        host_bits = net.max_prefixlen - net.prefixlen
        if not host_bits:
            _put(self._hosts, str(net.network_address), cover)
            return
        level, key = (net.version, host_bits), int(net.network_address) >> host_bits
        prefixes = self._prefixes.setdefault(level, {})
        if prefixes.get(key) is not cover:
            self._memo.clear()
        _put(prefixes, key, cover)
        if not prefixes:
            del self._prefixes[level]

    def _widest(self, client: str) -> Cover | None:
        """Return the strictest cover wider than an address, and remember it."""
        version, number = self._numbers.get(client) or self._parse(client)
        found: Cover | None = None
        for (of_version, host_bits), prefixes in self._prefixes.items():
            if version == of_version:
                wider = prefixes.get(number >> host_bits)
                if wider is not None and (found is None or wider.stops):
                    found = wider
        if len(self._memo) >= MAX_MEMO:
            self._memo.clear()
        self._memo[client] = found
        return found

    def _parse(self, client: str) -> tuple[int, int]:
        if len(self._numbers) >= MAX_MEMO:
            self._numbers.clear()
        address = ip_address(client)
        self._numbers[client] = parsed = (address.version, int(address))
        return parsed


def _put(table: dict[K, Cover], key: K, cover: Cover | None) -> None:
    if cover is None:
        table.pop(key, None)
    else:
        table[key] = cover
