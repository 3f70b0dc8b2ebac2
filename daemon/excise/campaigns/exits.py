"""Exits that a pool's accounts share: addresses behind which hardly anybody else lives."""

from __future__ import annotations

import numpy as np

from excise.campaigns.accounts import Accounts
from excise.campaigns.evidence import unique
from excise.features.conduct import DAY_S
from excise.features.interner import Rows
from excise.features.values import Bools
from excise.features.world import World
from excise.model.entity import Kind

#: fewest drawn accounts that make an address an exit, and fewest exits that link an account:
#: one in common is chance (a café, a relay); who draws from a pool draws again
SHARERS, EXITS = 2, 2
#: an address behind which more than this many times the drawn accounts live joins nobody
OTHERS = 2.0


def by_exit(world: World, accounts: Accounts, now: float) -> tuple[Rows, Rows]:
    """Join accounts by addresses that serve mostly accounts drawn from a pool.

    Nearly all addresses serve less than two of these, and are left out before anything is sorted.
    """
    drawn = np.zeros(len(accounts.place), dtype=bool)
    drawn[accounts.rows] = accounts.drawn & ~accounts.keyed
    client, account, elsewhere = _met(world, drawn, now)
    of_pool = drawn[account]
    everybody = np.bincount(client)
    client, account = client[of_pool], account[of_pool]
    mine = np.bincount(client, minlength=len(everybody))
    kept = ((mine >= SHARERS) & (everybody <= OTHERS * mine))[client]
    common, own = (np.bincount(account[k], minlength=len(drawn)) for k in (kept, slice(None)))
    kept &= ((common >= EXITS) & (2 * common >= own + elsewhere))[account]
    return accounts.place[account[kept]], client[kept]


def _met(world: World, drawn: Bools, now: float) -> tuple[Rows, Rows, Rows]:
    """Return who was seen at addresses where drawn accounts may meet: clients, account rows.

    Each pair comes once, in order; account 0 is all who are not known. The third says at how many
    other addresses each account was, by row.
    """
    links, owner = world.links, world.directory.owner[: world.used(Kind.USE)]
    live = links.since(now - DAY_S)
    by_drawn = drawn[owner][links.use[live]]
    client, account = links.client[live[by_drawn]], owner[links.use[live[by_drawn]]]
    meets = np.bincount(client, minlength=world.used(Kind.CLIENT)) >= SHARERS
    # Where there is one such link, there is one such account: nothing to tell apart.
    elsewhere = np.bincount(account[~meets[client]], minlength=len(drawn))
    live = live[meets[links.client[live]]]
    pairs = unique(links.client[live] << 32 | owner[links.use[live]])
    return pairs >> 32, pairs & 0xFFFFFFFF, elsewhere
