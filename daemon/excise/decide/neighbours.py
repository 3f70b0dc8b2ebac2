"""Neighbours: guilty clients by prefix, subnets whose members act alike, and who else is there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from excise.decide.cases import Cases
from excise.decide.guard import parse_network
from excise.decide.prefixes import Guilty, Prefix, cut
from excise.decide.score import Score
from excise.features.interner import Rows
from excise.features.world import World
from excise.model.entity import Kind
from excise.model.settings import Governor, Policy

ACTIVE_S = 86_400.0
#: members of a subnet whose typical answer is within this many octaves of the subnet's act alike
ALIKE_OCTAVES = 1.5
#: a prefix's score and honest share are kept this long: a walk brings a member a second
KEPT_S = 90.0
MEMBERS_READ = 64
BUSIEST = 16
#: one long answer is anybody's; a client answers for its subnet from the second on
LEAST_REQUESTS = 1.9
MOSTLY = 0.5
#: an honest client with this many requests in its day is met by no decision on its neighbours
ESTABLISHED = 10.0


class Neighbours:
    """Owns guilt by prefix."""

    def __init__(self, world: World, cases: Cases, policy: Policy, limits: Governor) -> None:
        self.world, self.cases = world, cases
        self.policy, self.limits = policy, limits
        self.guilty = Guilty()
        self.typical: dict[int, float] = {}
        self._scores: dict[Prefix, tuple[float, Score]] = {}
        self._honest: dict[Prefix, tuple[float, float]] = {}

    def add(self, client: int) -> None:
        """Count a client as guilty."""
        self.guilty.add(*self._where(client), self.limits)

    def discard(self, client: int) -> None:
        """Count it no more."""
        self.guilty.discard(*self._where(client), self.limits)

    def around(self, client: int) -> list[Prefix]:
        """Return the prefixes around a client that could be decided on, narrow to wide."""
        version, bits = self._where(client)
        return [cut(version, bits, n) for n in self.guilty.lengths(version, self.limits)]

    def narrowest(self, client: int, now: float) -> Prefix | None:
        """Return the narrowest prefix that explains a client's guilty neighbours, if one does."""
        version, bits = self._where(client)
        return self.guilty.narrowest(
            version, bits, self.policy, self.limits, lambda p: self.honest(p, now)
        )

    def _where(self, client: int) -> tuple[int, int]:
        return int(self.world.version[client]), int(self.world.network[client])

    def clear_caches(self) -> None:
        """Forget kept scores and shares."""
        self._scores.clear()
        self._honest.clear()

    def score(self, prefix: Prefix, now: float) -> Score:
        """Score a prefix as the mean of its guilty members (the `MEMBERS_READ` seen last)."""
        at, kept = self._scores.get(prefix, (0.0, Score({}, ())))
        if now - at >= KEPT_S or not kept.points:
            kept = self._mean_score(prefix, now)
            self._scores[prefix] = now, kept
        return kept

    def only_inherits(self, prefix: Prefix) -> bool:
        """Whether none of a prefix's guilty clients has evidence of its own."""
        return not any(map(self.cases.has_own, self._members(prefix)))

    def _members(self, prefix: Prefix) -> list[int]:
        names = (
            Prefix(prefix.version, bits, 32 if prefix.version == 4 else 64).text
            for bits in self.guilty.members.get(prefix, ())
        )
        return [r for r in map(self.world.clients.rows.get, names) if r is not None]

    def _mean_score(self, prefix: Prefix, now: float) -> Score:
        rows = self._members(prefix)
        last = self.world.tables[Kind.CLIENT].last
        rows.sort(key=lambda r: (-last[r], r))
        scores = [self.cases.client_score(row, now) for row in rows[:MEMBERS_READ]]
        if not scores:
            return Score({}, ())
        families = sorted({f for s in scores for f in s.points})
        mean = {f: sum(s.points.get(f, 0.0) for s in scores) / len(scores) for f in families}
        return replace(max(scores, key=lambda s: s.total), points=mean, hint=0.0)

    def honest(self, prefix: Prefix, now: float) -> float:
        """Return the share of a prefix's clients, requests or output that is not guilty."""
        at, kept = self._honest.get(prefix, (0.0, 1.0))
        if now - at >= KEPT_S:
            kept = self._count_honest(prefix, now)
            self._honest[prefix] = now, kept
        return kept

    def _count_honest(self, prefix: Prefix, now: float) -> float:
        world = self.world
        rows = world.directory.inside(parse_network(prefix.text))
        rows = rows[world.tables[Kind.CLIENT].last[rows] > now - ACTIVE_S]
        if not len(rows):
            return 0.0
        members = np.fromiter(self.guilty.members.get(prefix, ()), dtype=np.uint64)
        guilty = np.isin(world.network[rows], members)
        self._acquit(rows[guilty], now)
        members = np.fromiter(self.guilty.members.get(prefix, ()), dtype=np.uint64)
        others = ~np.isin(world.network[rows], members)
        if self._established(rows[others], now):
            return 1.0
        return self._worst_share(rows, others, now)

    def most_honest(self) -> float:
        """Return the honest share up to which a prefix or subnet is guilty as a whole."""
        return 1.0 - self.policy.subnet_guilty

    def _established(self, rows: Rows, now: float) -> bool:
        """Whether somebody among honest clients works from there, not only passes by."""
        requests = self.world.decayed("requests_24h", Kind.CLIENT, rows, now)
        output = self.world.decayed("output_tokens_24h", Kind.CLIENT, rows, now)
        return bool(((requests >= ESTABLISHED) & (output > 0)).any())

    def _acquit(self, rows: Rows, now: float) -> None:
        """Discard the busiest of some guilty clients whose traffic is mostly honest by now.

        The busiest are those that a wrong guess would harm most: a tenant that shared an address
        with a harvester's first requests was guilty then, and is not by noon.
        """
        requests = self.world.decayed("requests_24h", Kind.CLIENT, rows, now)
        for row in rows[np.argsort(-requests, kind="stable")][:BUSIEST].tolist():
            if self.cases.guilty_share(row) < MOSTLY:
                self.discard(row)

    def acts_alike(self, client: int, now: float) -> bool:
        """Whether a client of a guilty subnet acts like its bulk, twice at least."""
        at = np.array([client])
        n = float(self.world.decayed("llm_requests_24h", Kind.CLIENT, at, now)[0])
        if n < LEAST_REQUESTS:
            return False
        typical = float(self.world.decayed("log_output", Kind.CLIENT, at, now)[0]) / n
        subnets = (int(self.world.near[client]), int(self.world.wide[client]))
        whole = [self.typical[s] for s in subnets if self.cases.hot_subnet[s]]
        return any(abs(typical - w) <= ALIKE_OCTAVES for w in whole)

    def _worst_share(self, rows: Rows, chosen: NDArray[np.bool_], now: float) -> float:
        """Return the share of some clients among others: the worst of heads, requests, tokens."""
        shares = [float(chosen.mean())]
        for column in ("requests_24h", "output_tokens_24h"):
            amount = self.world.decayed(column, Kind.CLIENT, rows, now)
            total = float(amount.sum())
            shares.append(float(amount[chosen].sum()) / total if total else 0.0)
        return max(shares)

    def alike(self, subnet: int, now: float) -> tuple[int, float]:
        """Return how many members of a subnet act like its bulk, and the share that does not.

        The share is the worst of members, requests and output tokens.
        """
        world = self.world
        last = world.tables[Kind.CLIENT].last
        inside = (world.near == subnet) | (world.wide == subnet)
        members = np.flatnonzero(inside & (last > now - ACTIVE_S))
        n = np.maximum(world.decayed("llm_requests_24h", Kind.CLIENT, members, now), 1e-9)
        typical = world.decayed("log_output", Kind.CLIENT, members, now) / n
        output = world.decayed("output_tokens_24h", Kind.CLIENT, members, now)
        total = float(output.sum())
        if not total or not (n > 1e-6).any():
            return 0, 1.0
        # The median by heads: however heavy a lone tenant is, it does not move what is typical.
        self.typical[subnet] = whole = float(np.median(typical[n > 1e-6]))
        alike = (np.abs(typical - whole) <= ALIKE_OCTAVES) & (n > 1e-6)
        return int(alike.sum()), self._worst_share(members, ~alike, now)
