"""Which accounts belong together: by what they share and that they are used like tools.

Accounts that are drawn from a pool (see `accounts`) and share something that others do not have (a
template, an exit, one narrow behaviour) are one group. What nearly everybody shares links nobody.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from excise.campaigns.accounts import LEAST, Accounts, active
from excise.campaigns.alike import alike
from excise.campaigns.cohorts import by_behaviour
from excise.campaigns.components import components
from excise.campaigns.evidence import distinct, unique
from excise.campaigns.exits import by_exit
from excise.campaigns.relays import by_handoff
from excise.campaigns.templates import Templates, by_template
from excise.features.hashes import Hashes
from excise.features.interner import Rows
from excise.features.state import Column
from excise.features.values import Bools
from excise.features.world import World

#: accounts by place, and what links them: row i of the one has a hub in row i of the other
Edges = tuple[Rows, Rows]


@dataclass(frozen=True, slots=True)
class Groups:
    """Accounts by group: `account[i]` belongs to group `of[i]` (0 to n - 1) by `strength[i]`.

    The strength is 1 where two things speak for it, one half for one: a shared template, a shared
    exit, a cell of behaviour, or that the account is drawn from a pool. `templates` are the
    hashes that link group `template_of`; `own` says which of
    them nobody else uses, `common` are templates that others use too. `honest` are accounts that
    are used like people's.
    """

    n: int
    account: Rows
    of: Rows
    strength: Column
    templates: Hashes
    template_of: Rows
    common: Hashes
    own: Bools
    honest: Rows


def find(world: World, now: float) -> Groups:
    """Find the groups as they stand: linked, then without those who behave otherwise."""
    accounts = active(world, now)
    if not len(accounts.rows):
        none = np.empty(0, dtype=np.int64)
        return Groups(0, none, none, np.empty(0), none, none, none, none > 0, none)
    exits = by_exit(world, accounts, now)
    templates = by_template(world, accounts, exits[0], now)
    edges = [
        (templates.member, templates.hub),
        exits,
        by_handoff(world, accounts, now),
    ]
    edges.append(by_behaviour(accounts, np.concatenate([member for member, _ in edges])))
    return _groups(accounts, [alike(accounts, *kind) for kind in edges], templates)


def _groups(accounts: Accounts, edges: list[Edges], templates: Templates) -> Groups:
    """Join edges into groups of at least `LEAST` principals."""
    n, inside, of = _joined(accounts, edges)
    by_place = np.full(len(accounts.rows), -1, dtype=np.int64)
    by_place[inside] = of
    member, hub = edges[0]
    hashes, first = np.unique(hub, return_index=True)
    template_of = by_place[member[first]]
    hashes, template_of = hashes[template_of >= 0], template_of[template_of >= 0]
    return Groups(
        n,
        accounts.rows[inside],
        of,
        _strength(accounts, inside, edges),
        hashes,
        template_of,
        templates.common,
        np.isin(hashes, templates.own),
        accounts.rows[_honest(accounts, templates, edges[2][0])],
    )


def _joined(accounts: Accounts, edges: list[Edges]) -> tuple[int, Rows, Rows]:
    """Return how many groups there are, the places of their accounts, and the group of each."""
    member, hub, hubs = _numbered(edges)
    label = components(member, hub, len(accounts.rows), hubs)
    inside = unique(member)
    roots, of = np.unique(label[inside], return_inverse=True)
    inside, of = alike(accounts, inside, of)
    people = distinct(of, accounts.principal[inside], len(roots))
    kept = np.flatnonzero(people >= LEAST)
    number = np.full(len(roots), -1, dtype=np.int64)
    number[kept] = np.arange(len(kept))
    of = number[of]
    return len(kept), inside[of >= 0], of[of >= 0]


def _numbered(edges: list[Edges]) -> tuple[Rows, Rows, int]:
    """Return all edges together, their hubs numbered from 0 on, and how many hubs there are."""
    numbers, hubs = [np.empty(0, dtype=np.int64)], 0
    for _, names in edges:  # kinds of hub do not mix
        found, of = np.unique(names, return_inverse=True)
        numbers.append(of + hubs)
        hubs += len(found)
    return np.concatenate([member for member, _ in edges]), np.concatenate(numbers), hubs


def _strength(accounts: Accounts, inside: Rows, edges: list[Edges]) -> Column:
    """Return how strongly accounts belong to their groups: what speaks for it, up to two things."""
    ways = sum(np.isin(inside, member).astype(np.float64) for member, _ in edges)
    strength: Column = np.minimum(1.0, (ways + accounts.drawn[inside]) / 2.0)
    return strength


def _honest(accounts: Accounts, templates: Templates, taking: Rows) -> Bools:
    """Say who is used like a person's.

    Who sends what nobody but a fleet sends is of the fleet, though it stays at one address; so is
    who goes on with others' conversations (`taking`), though they are conversations.
    """
    honest = accounts.honest.copy()
    honest[templates.member[np.isin(templates.hub, templates.own)]] = False
    honest[taking] = False
    return honest
