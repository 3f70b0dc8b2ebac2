"""Tenants: declared heavy users, judged against their own budget and not the population's ways.

While a tenant keeps within its budget nothing is held against it. Above it, it is anybody.
"""

from __future__ import annotations

import math

import numpy as np

from excise.decide.guard import Network, parse_network, within
from excise.features.world import World
from excise.model.entity import Kind
from excise.model.settings import Tenant

#: a steady rate of one a day settles a sum with a half-life of a day at this
STEADY = 1.0 / math.log(2.0)
#: what a network has taken is added up this often
KEPT_S = 60.0


class Tenants:
    """Owns the declared tenants, and for a while what the networks among them have taken."""

    def __init__(self, world: World, tenants: tuple[Tenant, ...]) -> None:
        self.world = world
        self.configure(tenants)

    def configure(self, tenants: tuple[Tenant, ...]) -> None:
        """Set what the configuration declares."""
        self._accounts = {t.account: t.output_tokens_per_day for t in tenants if t.account}
        self._networks: list[tuple[Network, float]] = [
            (parse_network(t.network), t.output_tokens_per_day) for t in tenants if t.network
        ]
        self._taken: dict[Network, tuple[float, float]] = {}

    def spares(self, kind: Kind, row: int, now: float) -> bool:
        """Whether an entity is of a tenant within its budget."""
        if kind in (Kind.ACCOUNT, Kind.USE) and self._accounts:
            return self._spares_account(
                row if kind is Kind.ACCOUNT else self.world.use_owner(row), now
            )
        if kind in (Kind.CLIENT, Kind.SUBNET) and self._networks:
            network = parse_network(self.world.name(kind, row))
            return any(
                within(network, of) and self._output_of(of, now) <= STEADY * budget
                for of, budget in self._networks
            )
        return False

    def declares(self, account: str) -> bool:
        """Whether an account is a tenant's, within its budget or not."""
        return account in self._accounts

    def around(self, network: Network) -> bool:
        """Whether a network lies inside a tenant's."""
        return any(within(network, of) for of, _ in self._networks)

    def _spares_account(self, account: int, now: float) -> bool:
        budget = self._accounts.get(self.world.accounts.name(account)) if account else None
        if budget is None:
            return False
        uses = np.array(self.world.uses_of(account), dtype=np.int64)
        return float(self.world.decayed("output_tokens_24h", Kind.USE, uses, now).sum()) <= (
            STEADY * budget
        )

    def _output_of(self, network: Network, now: float) -> float:
        at, taken = self._taken.get(network, (-math.inf, 0.0))
        if not 0 <= now - at < KEPT_S:
            rows = self.world.directory.inside(network)
            taken = float(self.world.decayed("output_tokens_24h", Kind.CLIENT, rows, now).sum())
            self._taken[network] = now, taken
        return taken
