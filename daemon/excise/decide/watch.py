"""Watched clients: those throttled for what others do, until somebody else comes by them.

A throttle lets traffic through, so it still shows who lives at an exit. When a request comes by
one whom nothing speaks against, the client is looked at again at once.
"""

from __future__ import annotations

import numpy as np

from excise.decide.cases import Cases
from excise.features.state import Column
from excise.features.values import Bools
from excise.features.world import Piece, World
from excise.model.entity import Kind


class Watch:
    """Owns when each client may be looked at again (`due`, infinity: it is not watched).

    `fresh` are clients that came to be watched since it was last cleared.
    """

    def __init__(self, world: World, cases: Cases) -> None:
        self._cases = cases
        self.due: Column = np.full(world.tables[Kind.CLIENT].capacity, np.inf)
        self.fresh: set[int] = set()

    def note(self, client: int, at: float) -> None:
        """Watch a client from a time on; infinity ends it."""
        if np.isinf(self.due[client]) and not np.isinf(at):
            self.fresh.add(client)
        self.due[client] = at

    def strangers(self, piece: Piece, at: slice = slice(None)) -> Bools:
        """Return per record whether one of good standing comes by a watched client."""
        account, use = piece.account[at], piece.use[at]
        innocent = (self._cases.campaign_of[account] == 0) & ~self._cases.hot_use[use]
        found: Bools = (self.due[piece.client[at]] <= piece.clock[at]) & innocent
        return found
