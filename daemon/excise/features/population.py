"""The host's own population: quantiles of features over the entities active within a day.

Every entity counts once, however heavy it is, so a few heavy ones cannot drag a quantile along,
and one that is enforced does not count at all. Once enough entities are old, only those count:
newcomers, which a fleet makes by the thousand, cannot shift what is usual. A population of fewer
than `LEAST` entities does not know itself: no quantile, floors rule alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from excise.features.interner import Rows
from excise.features.state import Table
from excise.features.values import resting
from excise.model.entity import Kind

LEAST = 200
SAMPLE = 20_000
ACTIVE_S = 86_400.0
REFRESH_S = 900.0
#: an entity is old this long after it was first seen
OLD_S = 7 * 86_400.0


@dataclass(frozen=True, slots=True, order=True)
class Wish:
    """A quantile that some rule compares against."""

    kind: Kind
    feature: str
    quantile: float


@dataclass(slots=True)
class Baselines:
    """The present quantiles, and those that a rule's test has pinned."""

    wishes: tuple[Wish, ...] = ()
    values: dict[Wish, float] = field(default_factory=dict)
    pinned: dict[tuple[Kind, str], float] = field(default_factory=dict)

    def get(self, wish: Wish) -> float | None:
        """Return a quantile, None while the population is too small to have one."""
        return self.pinned.get((wish.kind, wish.feature), self.values.get(wish))

    def refresh(
        self, tables: dict[Kind, Table], now: float, landmark: float, suspects: dict[Kind, Rows]
    ) -> None:
        """Work all quantiles out anew; `suspects` are rows that do not count."""
        for kind in {w.kind for w in self.wishes}:
            # A campaign is compared with what single accounts are like.
            table = tables[Kind.ACCOUNT if kind is Kind.CAMPAIGN else kind]
            active = np.flatnonzero(table.last > now - ACTIVE_S)
            active = active[active > 0]
            active = active[~np.isin(active, suspects.get(table.kind, []))]
            old = active[table.first[active] < now - OLD_S]
            active = old if len(old) >= LEAST else active
            if len(active) < LEAST:
                continue
            # Every k-th row: rows are given out in order of arrival, so this is a fair sample.
            view = resting(table, active[:: max(1, len(active) // SAMPLE)], now, landmark)
            for wish in self.wishes:
                if wish.kind is kind:
                    self.values[wish] = float(np.quantile(view[wish.feature], wish.quantile))
