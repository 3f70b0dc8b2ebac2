"""Accounts that go on with each other's conversations, as a relay deals out turns."""

from __future__ import annotations

import numpy as np

from excise.campaigns.accounts import Accounts
from excise.campaigns.evidence import distinct
from excise.features.conduct import DAY_S
from excise.features.interner import Rows
from excise.features.world import World

#: an account takes part in a relay that went on so often with what so many others had begun, of
#: the same pool; failing over from one key to the next is one other's
TAKES, GIVERS = 1.5, 2


def by_handoff(world: World, accounts: Accounts, now: float) -> tuple[Rows, Rows]:
    """Join accounts that go on with each other's conversations; each pair is a hub of its own."""
    handoffs = world.conduct.handoffs
    live = handoffs.live()
    live = live[handoffs.last[live] > now - DAY_S]
    taker, giver = accounts.place[handoffs.taker[live]], accounts.place[handoffs.giver[live]]
    kept = (taker >= 0) & (giver >= 0)
    kept &= accounts.principal[taker] != accounts.principal[giver]
    taker, giver, live = taker[kept], giver[kept], live[kept]
    n, sums = len(accounts.rows), handoffs.sums[live] * world.fade(now)
    givers = distinct(taker, accounts.principal[giver], n)
    takes = np.bincount(taker, sums, n)
    # That they hold conversations is no excuse: people go on with their own.
    pool = (takes >= TAKES) & (givers >= GIVERS)
    inside = pool[taker] & pool[giver]
    taker, giver = taker[inside], giver[inside]
    pair = np.arange(len(taker))
    return np.concatenate((taker, giver)), np.concatenate((pair, pair))
