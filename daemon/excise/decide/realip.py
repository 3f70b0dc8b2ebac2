"""Whether the clients in the log are clients, or the proxies in front of them.

If the gateway's real-IP set-up is missing, every request seems to come from the few addresses of a
CDN or load balancer, and a decision on one of them shuts everybody out. A host with few tenants
looks alike at first; what tells them apart is the crowd behind each address.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from excise.features.interner import Rows
from excise.features.world import World
from excise.model.entity import Kind

#: at most so many addresses carry at least this share of the requests of the last hour or so
FEW = 8
SHARE = 0.95
#: fewer requests (decayed, half-life 1 h) say nothing
LEAST_REQUESTS = 200.0
#: share of the requests of the few that told of hops which nobody trusted vouches for
UNBELIEVED = 0.5
#: an address is a crowd's with so many accounts through so many kinds of client program
ACCOUNTS, STACKS = 8, 4
#: share of the requests of the few that come from crowds
CROWD = 0.5
_MASK = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Few:
    """The addresses that carry nearly everything: rows, their requests, and their share of all."""

    rows: Rows
    requests: np.ndarray
    share: float


def doubt(world: World, now: float) -> str:
    """Return why the clients in the log seem to be proxies at event time `now`, `""` if not."""
    few = _the_few(world, now)
    if few is None:
        return ""
    told = world.decayed("unbelieved_1h", Kind.CLIENT, few.rows, now)
    if told.sum() >= UNBELIEVED * few.requests.sum():
        share = told.sum() / few.requests.sum()
        why = f"{share:.0%} of these tell of hops that nobody trusted vouches for"
    elif _crowds(world, few) >= CROWD * few.requests.sum():
        why = f"each with {ACCOUNTS} accounts or more through {STACKS} kinds of program or more"
    else:
        return ""
    many = len(few.rows)
    noun = "address carries" if many == 1 else "addresses carry"
    return f"{many} {noun} {few.share:.0%} of requests, {why}"


def _the_few(world: World, now: float) -> Few | None:
    """Return the fewest addresses that carry nearly everything, None if there are no such few."""
    every = np.arange(1, world.used(Kind.CLIENT))
    requests = world.decayed("requests_1h", Kind.CLIENT, every, now)
    total = float(requests.sum())
    if total < LEAST_REQUESTS:
        return None
    at = np.argsort(-requests, kind="stable")[:FEW]
    carried = np.cumsum(requests[at])
    many = int(np.searchsorted(carried, SHARE * total)) + 1
    if many > len(at):
        return None
    rows = every[at[:many]]
    direct = world.decayed("direct_24h", Kind.CLIENT, rows, now).sum()
    if direct < UNBELIEVED * world.decayed("requests_24h", Kind.CLIENT, rows, now).sum():
        return None  # they are told apart from the sockets' peers: somebody has walked
    return Few(rows, requests[at[:many]], float(carried[many - 1]) / total)


def _crowds(world: World, few: Few) -> float:
    """Return the requests of those of the few behind which there is a crowd."""
    crowded = 0.0
    for row, requests in zip(few.rows.tolist(), few.requests.tolist(), strict=True):
        links = world.links.of_client(row)
        uses = [world.uses.name(use) for use in world.links.use[links].tolist() if use > 0]
        accounts = {use >> 32 for use in uses}
        stacks = {use & _MASK for use in uses}
        if len(accounts) >= ACCOUNTS and len(stacks) >= STACKS:
            crowded += requests
    return crowded
