"""Decisions against the truth: what campaigns still got, and whom it cost. Pure.

A request is judged at the moment it began. Dropped and denied requests got nothing, throttled
ones `THROTTLED` of their tokens, all others everything. A log cannot stop anybody: a source that
would have been stopped keeps appearing, as in every replay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

import msgspec

from excise.simulate.compose import Row

#: what a throttled request still gets, at the most; measured in docs/simulate.md
THROTTLED = 0.1
FREE, SLOWED, STOPPED = range(3)
ACTIONS = {"throttle": SLOWED, "drop": STOPPED, "deny": STOPPED}
ENDS = {"lift", "expire"}


class CampaignLine(msgspec.Struct, frozen=True, kw_only=True):
    """What one campaign got. Leakage: output tokens served over those asked for.

    `network` counts what the kernel does, `both` the verdicts on accounts too. `first_s` is the
    time from the campaign's first request to the first that was slowed or stopped; None: never.
    """

    case: str
    requests: int
    output_tokens: int
    network: float
    both: float
    first_s: float | None
    accounts: int
    accounts_met: int
    sources: int
    sources_met: int


class HonestLine(msgspec.Struct, frozen=True, kw_only=True):
    """What one kind of honest traffic met."""

    case: str
    requests: int
    stopped: int
    slowed: int
    users: int
    users_hit: int
    sources_dropped: int
    accounts_denied: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. `in_campaigns`: honest accounts under a decision that names a campaign."""

    campaigns: tuple[CampaignLine, ...]
    honest: tuple[HonestLine, ...]
    in_campaigns: tuple[str, ...]


class Standing:
    """The decisions that hold at a moment, by network and account."""

    def __init__(self) -> None:
        self._nets: dict[tuple[int, int], dict[int, tuple[int, float]]] = {}
        self._accounts: dict[str, tuple[int, float]] = {}
        self._numbers: dict[str, tuple[int, int]] = {}

    def take(self, change: Mapping[str, Any]) -> None:
        """Follow one line of the decision stream."""
        level = FREE if change["op"] in ENDS else ACTIONS.get(change["action"], FREE)
        held, target = (level, float(change["until"])), change["target"]
        if change["plane"] == "account":
            self._accounts[target] = held
            return
        net = ip_network(target)
        bits = net.max_prefixlen - net.prefixlen
        nets = self._nets.setdefault((net.version, bits), {})
        nets[int(net.network_address) >> bits] = held

    def network(self, client: str, now: float) -> int:
        """Return what the kernel does to an address."""
        if client not in self._numbers:
            address = ip_address(client)
            self._numbers[client] = (address.version, int(address))
        version, number = self._numbers[client]
        found = FREE
        for (of, bits), nets in self._nets.items():
            level, until = nets.get(number >> bits, (FREE, 0.0)) if of == version else (FREE, 0.0)
            if until > now:
                found = max(found, level)
        return found

    def account(self, account: str, now: float) -> int:
        """Return the verdict on an account."""
        level, until = self._accounts.get(account, (FREE, 0.0))
        return level if until > now else FREE


@dataclass(slots=True)
class _Tally:
    requests: int = 0
    tokens: int = 0
    by_network: float = 0.0
    by_both: float = 0.0
    began: float = 0.0
    first: float | None = None
    levels: list[int] = field(default_factory=lambda: [0, 0, 0])
    users: set[str] = field(default_factory=set)
    users_hit: set[str] = field(default_factory=set)
    accounts: set[str] = field(default_factory=set)
    accounts_met: set[str] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)
    sources: set[str] = field(default_factory=set)
    sources_met: set[str] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)

    def add(self, row: Row, network: int, account: int) -> None:
        weight = max(row.output_tokens, 0)
        both = max(network, account)
        self.began = self.began or row.start
        self.requests += 1
        self.tokens += weight
        self.by_network += weight * _served(network)
        self.by_both += weight * _served(both)
        self.levels[both] += 1
        self.users.add(row.user)
        self.accounts |= {row.account} - {""}
        self.sources.add(row.client)
        if both:
            self.users_hit.add(row.user)
            self.first = row.start if self.first is None else self.first
        for level, name, met, stopped in (
            (network, row.client, self.sources_met, self.dropped),
            (account, row.account, self.accounts_met, self.denied),
        ):
            if level:
                met.add(name)
            if level == STOPPED:
                stopped.add(name)


def score(rows: Iterable[Row], changes: Iterable[Mapping[str, Any]]) -> Report:
    """Judge decisions; `changes` are objects of the decision stream, in order."""
    ordered = sorted(rows, key=lambda row: row.start)
    hostile = {row.account for row in ordered if row.hostile}
    honest = {row.account for row in ordered if not row.hostile} - hostile - {""}
    standing, tallies, named = Standing(), dict[tuple[bool, str], _Tally](), set[str]()
    ahead = _noting(changes, honest, named)
    change = next(ahead, None)
    for row in ordered:
        while change is not None and change["ts"] <= row.start:
            standing.take(change)
            change = next(ahead, None)
        tally = tallies.setdefault((row.hostile, row.case), _Tally())
        tally.add(
            row, standing.network(row.client, row.start), standing.account(row.account, row.start)
        )
    for _ in ahead:  # what was decided after the last request began still names accounts
        pass
    ours = sorted(tallies.items())
    return Report(
        campaigns=tuple(_campaign(case, t) for (bad, case), t in ours if bad),
        honest=tuple(_honest(case, t, honest) for (bad, case), t in ours if not bad),
        in_campaigns=tuple(sorted(named)),
    )


def _noting(
    changes: Iterable[Mapping[str, Any]], honest: set[str], named: set[str]
) -> Iterator[Mapping[str, Any]]:
    """Pass changes on; note honest accounts that are enforced as part of a campaign."""
    for change in changes:
        enforced = change["op"] not in ENDS and change["action"] in ACTIONS
        if enforced and change.get("campaign") and change["target"] in honest:
            named.add(change["target"])
        yield change


def _served(level: int) -> float:
    return (1.0, THROTTLED, 0.0)[level]


def _campaign(case: str, t: _Tally) -> CampaignLine:
    return CampaignLine(
        case=case,
        requests=t.requests,
        output_tokens=t.tokens,
        network=round(t.by_network / max(t.tokens, 1), 4),
        both=round(t.by_both / max(t.tokens, 1), 4),
        first_s=None if t.first is None else round(t.first - t.began, 1),
        accounts=len(t.accounts),
        accounts_met=len(t.accounts_met),
        sources=len(t.sources),
        sources_met=len(t.sources_met),
    )


def _honest(case: str, t: _Tally, honest: set[str]) -> HonestLine:
    return HonestLine(
        case=case,
        requests=t.requests,
        stopped=t.levels[STOPPED],
        slowed=t.levels[SLOWED],
        users=len(t.users),
        users_hit=len(t.users_hit),
        sources_dropped=len(t.dropped),
        accounts_denied=len(t.denied & honest),
    )
