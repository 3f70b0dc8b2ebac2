"""What the edges of groups say of them: their templates, addresses, sites and systems."""

from __future__ import annotations

import numpy as np

from excise.campaigns.evidence import added, distinct
from excise.campaigns.groups import Groups
from excise.campaigns.templates import ONCE
from excise.features.conduct import AT, DAY_S
from excise.features.hashes import Hashes
from excise.features.interner import Rows
from excise.features.links import REQUESTS
from excise.features.state import Column
from excise.features.values import Bools
from excise.features.world import World
from excise.model.entity import Kind


def of_ties(world: World, groups: Groups, now: float) -> dict[str, Column]:
    """Count the templates of groups, and the share of their prompts under those that link them."""
    ties, group = world.conduct.ties, _by_account(world, groups)
    live = ties.live()
    of = group[ties.account[live]]
    live, of = live[of >= 0], of[of >= 0]
    link = _link(groups, ties.template[live], of)
    own = link >= 0
    own[own] = groups.own[link[own]]
    requests = ties.sums[live, AT["requests"]] * world.fade(now)
    prompts = world.conduct.sums[groups.account, AT["prompts"]] * world.fade(now)
    whole = np.maximum(added(groups.of, prompts, groups.n), 1e-9)
    under, under_own = (added(of[w], requests[w], groups.n) for w in (link >= 0, own))
    return {
        "template_share": np.minimum(1.0, under / whole),
        "own_share": np.minimum(1.0, under_own / whole),
        "templates": distinct(of, ties.template[live], groups.n),
    }


def _link(groups: Groups, template: Hashes, of: Rows) -> Rows:
    """Return the place of each template among those that link its group, -1 if it does not."""
    if not len(groups.templates):
        return np.full(len(template), -1, dtype=np.int64)
    order = np.argsort(groups.templates)
    place = np.searchsorted(groups.templates[order], template)
    link = order[np.minimum(place, len(order) - 1)]
    same = (groups.templates[link] == template) & (groups.template_of[link] == of)
    return np.where(same, link, -1)


def waiting(world: World, groups: Groups, now: float) -> tuple[Rows, Rows]:
    """Return accounts that sent what links a group but did not come back yet, and their groups.

    Who came back is linked by how; so of a group alone it cannot be told how often its like do.
    """
    none = np.empty(0, dtype=np.int64)
    if not len(groups.templates):
        return none, none
    ties, order = world.conduct.ties, np.argsort(groups.templates)
    live = ties.live()
    live = live[ties.last[live] > now - DAY_S]
    place = np.searchsorted(groups.templates[order], ties.template[live])
    link = order[np.minimum(place, len(order) - 1)]
    back = world.conduct.sums[ties.account[live], AT["repeats"]] * world.fade(now) >= ONCE
    outside = _by_account(world, groups)[ties.account[live]] < 0
    kept = (groups.templates[link] == ties.template[live]) & ~back & outside
    accounts, at = np.unique(ties.account[live[kept]], return_index=True)
    return accounts, groups.template_of[link[kept]][at]


def of_links(world: World, groups: Groups, now: float) -> dict[str, Column]:
    """Count the addresses, systems and sites of groups, and the requests by shared addresses."""
    links, owner = world.links, world.directory.owner[: world.used(Kind.USE)]
    group = _by_account(world, groups)[owner]
    live = links.since(now - DAY_S)
    of = group[links.use[live]]
    live, of = live[of >= 0], of[of >= 0]
    requests = links.sums[live, REQUESTS] * world.fade(now)
    keys, place = np.unique(of << 32 | links.client[live], return_inverse=True)
    common = added(of, requests * _shared(place, owner[links.use[live]], len(keys)), groups.n)
    of_key, client = keys >> 32, keys & 0xFFFFFFFF
    system = world.directory.systems(client)
    return {
        "clients": added(of_key, None, groups.n),
        "asns": distinct(of_key[system > 0], system[system > 0], groups.n),
        "sites": distinct(of_key, world.sites(client).astype(np.int64), groups.n),
        "shared_exits": common / np.maximum(added(of, requests, groups.n), 1e-9),
    }


def _shared(place: Rows, account: Rows, places: int) -> Bools:
    """Say which accounts are somewhere where another is too; most places have a single link."""
    met = np.bincount(place, minlength=places) >= 2
    some = met[place]
    met &= distinct(place[some], account[some], places) >= 2
    shared: Bools = met[place]
    return shared


def _by_account(world: World, groups: Groups) -> Rows:
    """Return the group of every account row, -1 for none."""
    group = np.full(world.used(Kind.ACCOUNT), -1, dtype=np.int64)
    group[groups.account] = groups.of
    return group
