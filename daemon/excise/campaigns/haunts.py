"""Where accounts are found within a day: at a home and a few places more, or all over a pool.

Proxies are sold by the request and by the session: an exit that is kept for ten minutes or three
hours moves an account as rarely as a person is moved by a telephone. What is left to see is that
none of its places is a home.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from excise.campaigns.evidence import GOLDEN
from excise.features.conduct import DAY_S
from excise.features.interner import Rows
from excise.features.links import REQUESTS
from excise.features.networks import networks as networks_of
from excise.features.state import Column
from excise.features.world import World
from excise.model.entity import Kind

#: fewer addresses than this are not looked at: an account has a home among them, or is hardly known
FROM = 4.0


@dataclass(frozen=True, slots=True)
class Haunts:
    """Where n accounts were within a day: columns of shape (n,).

    Addresses (v4 /32, v6 /64), unrelated networks (v4 /16, v6 /32), and the shares of requests by
    the most used network (`home`) and address (`desk`). Who was at fewer than `FROM` addresses
    counts as in one network, and always at the same desk.
    """

    addresses: Column
    networks: Column
    home: Column
    desk: Column


def haunts(world: World, rows: Rows, now: float) -> Haunts:
    """Return where the accounts of `rows`, shape (n,), are found; `now` in epoch seconds.

    Which account uses which addresses is EvilCohort's evidence (Stringhini et al., USENIX Security
    2015), and that they count where networks are unrelated is BotGraph's (Zhao et al., NSDI 2009).
    """
    exits = world.tables[Kind.ACCOUNT].distinct_of("clients", rows)
    looked_at = np.flatnonzero(exits >= FROM)
    place = np.full(world.used(Kind.ACCOUNT), -1, dtype=np.int64)
    place[rows[looked_at]] = looked_at
    links, owner = world.links, world.directory.owner[: world.used(Kind.USE)]
    live = links.since(now - DAY_S)
    of = place[owner[links.use[live]]]
    live, of = live[of >= 0], of[of >= 0]
    client, requests = links.client[live], links.sums[live, REQUESTS]
    # 32 bits of a hash: no account is in so many networks that two of them would be one.
    network = networks_of(world.places(client), world.directory.asns) * GOLDEN >> np.uint64(32)
    networks, home = _most(of, network.astype(np.int64), requests, len(rows))
    addresses, desk = _most(of, client, requests, len(rows))
    # Links may have been forgotten, and sketches begin anew every half day.
    return Haunts(np.maximum(addresses, exits), networks, home, desk)


def _most(of: Rows, thing: Rows, requests: Column, n: int) -> tuple[Column, Column]:
    """Return per account how many things it has, and the share of its requests by the main one."""
    things, share = np.ones(n), np.ones(n)
    if not len(of):
        return things, share
    keys = of << 32 | thing
    order = np.argsort(keys)
    keys = keys[order]
    starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
    account, sums = keys[starts] >> 32, np.add.reduceat(requests[order], starts)
    heads = np.flatnonzero(np.append(True, account[1:] != account[:-1]))
    at = account[heads]
    things[at] = np.diff(np.append(heads, len(account)))
    most, whole = np.maximum.reduceat(sums, heads), np.add.reduceat(sums, heads)
    share[at] = np.where(whole > 0, most / np.maximum(whole, 1e-300), 1.0)
    return things, share
