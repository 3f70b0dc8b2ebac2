"""Which accounts belong together: by what they share and that they are used like tools.

A person or a program comes back to a conversation, or comes back at once, or comes back from
where it was. An account that a scheduler draws from a pool does neither: its next request comes
alone and from another exit. Accounts that do so and share something that others do not have (a
template, an exit, one narrow behaviour) are one group. What nearly everybody shares links nobody.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from excise.campaigns.components import components
from excise.campaigns.evidence import distinct, pooled
from excise.features.conduct import AT, DAY_S
from excise.features.hashes import Hashes
from excise.features.interner import Rows
from excise.features.state import Column, Matrix
from excise.features.values import Bools
from excise.features.world import World
from excise.model.entity import Kind

#: fewest principals (organisations, or accounts without one) that make a group
LEAST = 6
#: fewest repeats (requests of accounts seen before) by which a group's ways are known
LEAST_REPEATS = 8.0
#: share of repeats that move, or come alone, from which a group is used like a pool. Of people's
#: requests in a conversation some 7 % come alone, and some 5 % from another network
POOLED = 0.5
#: share of prompts that begin a conversation; people's are below half
BEGINS = 0.8
#: an account with this many prompts of which fewer begin something holds conversations
TALKS_FROM, TALKS = 5.0, 0.6
#: an account that came back this often, and moved less than this, has a home
HOME_FROM, HOME = 4.0, 0.2
#: an account is old after this time; a template of which this share is old is common property
OLD_S, OLD_SHARE = 14 * DAY_S, 0.4
#: under a fleet's own template at most this share of the accounts is known to be used by people
HONEST_SHARE = 0.1
#: and of the accounts that came back at all, at least this share did so as a pool's do
ONCE, MOSTLY = 0.5, 0.6
#: it is the fleet's own where nearly all that came back twice did so as a pool's do; or most of
#: them, where hardly a prompt under it continues anything
TWICE, NEARLY_ALL, NO_TALK = 1.5, 0.8, 0.98
#: or where so many came back at all, and nearly all of them from an unrelated network: of people
#: not even every fourth does, so chance has one in a million
SCATTERED, WITHOUT_EXCEPTION = 12, 0.9
#: an address behind which more than this many times the drawn accounts live joins nobody
OTHERS = 2.0
#: an account takes part in a relay that went on so often with what so many others had begun, of
#: the same pool; failing over from one key to the next is one other's
TAKES, GIVERS = 2.5, 2
#: fewest accounts in one window of behaviour, and how much denser it is than the rest of its kind
COHORT, DENSER = 10, 4.0
#: one account of a cohort asks at most this many times as much as its typical one: who deals out
#: work to a pool deals evenly, and a tenant on changing machines is no part of it
HEAVIER = 6.0
#: an account with this many answers whose typical one is this far from the others' is apart.
#: Single answers spread by about an octave, the mean of six by less than half of one
TELLING, APART_OCTAVES = 6.0, 2.0
#: the same where nothing but behaviour links them: closer, and sooner
COHORT_TELLING, COHORT_OCTAVES = 2.5, 1.0


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


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts active within a day, and what is known of each.

    Honest are those that hold conversations (`talks`), and those that stay at home. `keyed` are
    keys of an organisation that uses several: its machines explain why they move.
    """

    rows: Rows
    sums: Matrix
    principal: Rows
    keyed: Bools
    talks: Bools
    honest: Bools
    drawn: Bools
    old: Bools


def active(world: World, now: float) -> Accounts:
    """Return the accounts of a day. Sums need no fading where only shares are asked."""
    conduct = world.conduct
    rows = np.flatnonzero(conduct.last[: world.used(Kind.ACCOUNT)] > now - DAY_S)
    sums = conduct.sums[rows] * world.fade(now)
    repeats, prompts = sums[:, AT["repeats"]], sums[:, AT["prompts"]]
    moved = sums[:, AT["moved"]] / np.maximum(repeats, 1e-9)
    alone = sums[:, AT["alone"]] / np.maximum(repeats, 1e-9)
    begins = sums[:, AT["begins"]] / np.maximum(prompts, 1e-9)
    talks = (prompts >= TALKS_FROM) & (begins < TALKS)
    drawn = ~talks & (repeats >= 1.5) & (moved >= POOLED)
    settled = (repeats >= HOME_FROM) & (moved < HOME) & (alone < POOLED)
    old = world.tables[Kind.ACCOUNT].first[rows] < now - OLD_S
    principal = conduct.principals(rows)
    _, of, keys = np.unique(principal, return_inverse=True, return_counts=True)
    honest, drawn = talks | settled, drawn & ~settled
    return Accounts(rows, sums, principal, keys[of] > 1, talks, honest, drawn, old)


def find(world: World, now: float) -> Groups:
    """Find the groups as they stand: linked, then without those who behave otherwise."""
    accounts = active(world, now)
    if not len(accounts.rows):
        none = np.empty(0, dtype=np.int64)
        return Groups(0, none, none, np.empty(0), none, none, none, none > 0, none)
    place = np.full(len(world.conduct.last), -1, dtype=np.int64)
    place[accounts.rows] = np.arange(len(accounts.rows))
    by_template, common, own = _by_template(world, accounts, place, now)
    # Who sends what nobody but a fleet sends is of the fleet, though it stays at one address.
    honest = accounts.honest.copy()
    honest[by_template[0][np.isin(by_template[1], own)]] = False
    edges = [
        by_template,
        _by_exit(world, accounts, place, now),
        _by_handoff(world, accounts, place, now),
    ]
    linked = np.concatenate([member for member, _ in edges])
    cohort = _by_behaviour(accounts, linked)
    if len(cohort[0]):
        cohort = _alike(accounts, *cohort, telling=COHORT_TELLING, apart=COHORT_OCTAVES)
    edges.append(cohort)
    edges = [_alike(accounts, *e) if len(e[0]) else e for e in edges]
    found = _groups(accounts, edges, common)
    return replace(found, own=np.isin(found.templates, own), honest=accounts.rows[honest])


def _alike(
    accounts: Accounts,
    member: Rows,
    hub: Rows,
    *,
    telling: float = TELLING,
    apart: float = APART_OCTAVES,
) -> tuple[Rows, Rows]:
    """Leave out whose typical input or output is far from that of the others of a hub or group.

    Who meets a fleet at an address, or copies its template, is not one of it.
    """
    s = accounts.sums[member]
    answers = np.maximum(s[:, AT["answers"]], 1e-9)
    _, of = np.unique(hub, return_inverse=True)
    kept = np.ones(len(member), dtype=bool)
    sure = s[:, AT["answers"]] >= telling
    for name in ("log_output", "log_input"):
        typical = s[:, AT[name]] / answers
        kept &= ~sure | (abs(typical - _medians(of, typical)[of]) <= apart)
    return member[kept], hub[kept]


def _medians(of: Rows, values: Column) -> Column:
    """Return the median of values per group, numbered from 0 on."""
    order = np.lexsort((values, of))
    starts = np.searchsorted(of[order], np.arange(int(of.max()) + 1))
    ends = np.append(starts[1:], len(of))
    ordered = values[order]
    middle: Column = (ordered[(starts + ends - 1) // 2] + ordered[(starts + ends) // 2]) / 2
    return middle


def _groups(accounts: Accounts, edges: list[tuple[Rows, Rows]], common: Hashes) -> Groups:
    """Join edges of (account place, hub) into groups of at least `LEAST` principals."""
    member = np.concatenate([m for m, _ in edges])
    hub, hubs = np.empty(0, dtype=np.int64), 0
    for _, names in edges:  # kinds of hub do not mix
        found, numbers = np.unique(names, return_inverse=True)
        hub, hubs = np.concatenate((hub, numbers + hubs)), hubs + len(found)
    label = components(member, hub, len(accounts.rows), hubs)
    inside = np.unique(member)
    roots, of = np.unique(label[inside], return_inverse=True)
    if len(inside):
        inside, of = _alike(accounts, inside, of)
    people = distinct(of, accounts.principal[inside], len(roots))
    kept = np.flatnonzero(people >= LEAST)
    number = np.full(len(roots), -1, dtype=np.int64)
    number[kept] = np.arange(len(kept))
    of = number[of]
    inside, of = inside[of >= 0], of[of >= 0]
    by_place = np.full(len(accounts.rows), -1, dtype=np.int64)
    by_place[inside] = of
    tm, th = edges[0]
    templates, first = np.unique(th, return_index=True)
    template_of = by_place[tm[first]]
    known = template_of >= 0
    ways = sum(np.isin(inside, m).astype(np.float64) for m, _ in edges)
    strength = np.minimum(1.0, (ways + accounts.drawn[inside]) / 2.0)
    return Groups(
        len(kept),
        accounts.rows[inside],
        of,
        strength,
        templates[known],
        template_of[known],
        common,
        np.zeros(int(known.sum()), dtype=bool),
        np.empty(0, dtype=np.int64),
    )


def _by_template(
    world: World, accounts: Accounts, place: Rows, now: float
) -> tuple[tuple[Rows, Rows], Hashes, Hashes]:
    """Join accounts by templates under which accounts are used like a pool, and hardly others.

    Also return the templates that are common property, and those that are a fleet's own.
    """
    ties = world.conduct.ties
    live = ties.live()
    live = live[(ties.last[live] > now - DAY_S) & (place[ties.account[live]] >= 0)]
    none = np.empty(0, dtype=np.int64)
    if not len(live):
        return (none, none), none, none
    hashes, of = np.unique(ties.template[live], return_inverse=True)
    at, n = place[ties.account[live]], len(hashes)
    people = distinct(of, accounts.principal[at], n)
    sums = ties.sums[live] * world.fade(now)
    begins, _ = pooled(sums, "prompts", "begins", of, n)
    moves, repeats = pooled(sums, "repeats", "moved", of, n)
    alone, _ = pooled(sums, "repeats", "alone", of, n)
    heads = np.bincount(of, minlength=n)
    old = np.bincount(of, accounts.old[at], n) / heads
    honest = np.bincount(of, accounts.honest[at], n) / heads
    repeats_of = sums[:, AT["repeats"]]
    away = np.maximum(sums[:, AT["moved"]], sums[:, AT["alone"]]) >= POOLED * repeats_of
    like, back = (np.bincount(of, (repeats_of >= ONCE) & w, n) for w in (away, True))
    like2, back2 = (np.bincount(of, (repeats_of >= TWICE) & w, n) for w in (away, True))
    shared = (honest > HONEST_SHARE) | (like < MOSTLY * back)
    own = (like2 >= NEARLY_ALL * back2) | ((begins >= NO_TALK) & (like2 >= MOSTLY * back2))
    own &= back2 >= LEAST
    afar = sums[:, AT["roamed"]] >= POOLED * repeats_of
    far = np.bincount(of, (repeats_of >= ONCE) & afar, n)
    own |= (begins >= NO_TALK) & (back >= SCATTERED) & (far >= WITHOUT_EXCEPTION * back)
    good = (people >= LEAST) & (begins >= BEGINS) & (repeats >= LEAST_REPEATS)
    good &= ((moves >= POOLED) | (alone >= POOLED)) & (old < OLD_SHARE)
    good &= ~shared
    # Until a template is known to be the fleet's own, only those link whose own conduct is seen.
    seen = ~accounts.honest[at] & (repeats_of >= ONCE) & away
    kept = good[of] & ((own[of] & ~accounts.talks[at]) | seen)
    common = hashes[(people >= LEAST) & (back2 >= LEAST) & (shared | ~own)]
    return (at[kept], hashes[of[kept]]), common, hashes[good & own]


def _by_exit(world: World, accounts: Accounts, place: Rows, now: float) -> tuple[Rows, Rows]:
    """Join accounts by addresses that serve mostly accounts drawn from a pool."""
    links = world.links
    live = np.flatnonzero(links.last > now - DAY_S)
    account = owners(world, links.use[live])
    known = account > 0
    at = np.where(known, place[account], -1)
    client = links.client[live]
    drawn = (at >= 0) & (accounts.drawn & ~accounts.keyed)[at]
    size = int(client.max()) + 1 if len(client) else 1
    pairs_client, pairs_account = _pairs(client[drawn], at[drawn])
    mine = np.bincount(pairs_client, minlength=size)
    everybody, _ = _pairs(client, np.where(known, account, 0))
    all_of = np.bincount(everybody, minlength=size)
    joins = (mine >= 2) & (all_of <= OTHERS * mine)
    kept = joins[pairs_client]
    # One exit in common is chance (a café, a relay); who draws from a pool draws again.
    n = len(accounts.rows)
    common, own = (np.bincount(pairs_account[k], minlength=n) for k in (kept, slice(None)))
    kept &= ((common >= 2) & (2 * common >= own))[pairs_account]
    return pairs_account[kept], pairs_client[kept]


def _by_handoff(world: World, accounts: Accounts, place: Rows, now: float) -> tuple[Rows, Rows]:
    """Join accounts that go on with each other's conversations, as a relay deals out turns."""
    handoffs = world.conduct.handoffs
    live = handoffs.live()
    live = live[handoffs.last[live] > now - DAY_S]
    taker, giver = place[handoffs.taker[live]], place[handoffs.giver[live]]
    kept = (taker >= 0) & (giver >= 0)
    kept &= accounts.principal[taker] != accounts.principal[giver]
    taker, giver, live = taker[kept], giver[kept], live[kept]
    n, sums = len(accounts.rows), handoffs.sums[live] * world.fade(now)
    givers = distinct(taker, accounts.principal[giver], n)
    takes = np.bincount(taker, sums, n)
    pool = (takes >= TAKES) & (givers >= GIVERS) & ~accounts.honest
    inside = pool[taker] & pool[giver]
    taker, giver = taker[inside], giver[inside]
    pair = np.arange(len(taker))
    return np.concatenate((taker, giver)), np.concatenate((pair, pair))


def _by_behaviour(accounts: Accounts, linked: Rows) -> tuple[Rows, Rows]:
    """Join accounts that nothing else joins but that are used alike: drawn, apart, one shape.

    Cells are of an octave of typical output and input tokens; a cohort is a window of 3 by 3.
    """
    s = accounts.sums
    repeats = np.maximum(s[:, AT["repeats"]], 1e-9)
    answers = np.maximum(s[:, AT["answers"]], 1e-9)
    prompts = s[:, AT["prompts"]]
    # Alone, or where first questions come from unrelated networks in quick succession.
    begins = s[:, AT["begins"]] >= BEGINS * prompts
    apart = (s[:, AT["alone"]] / repeats >= POOLED) & ((prompts == 0) | begins)
    apart |= (s[:, AT["roamed"]] / repeats >= POOLED) & (prompts > 0) & begins
    apart &= accounts.drawn & ~accounts.keyed
    apart[linked] = False
    at = np.flatnonzero(apart)
    cell = [
        np.floor(s[at, AT[c]] / answers[at]).astype(np.int64) for c in ("log_output", "log_input")
    ]
    member, hub, number = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)], 0
    while len(at) >= COHORT:
        x, y = (np.clip(c, 0, 31) for c in cell)
        grid = np.zeros((34, 34))
        np.add.at(grid, (x + 1, y + 1), 1.0)
        window = sum(grid[i : i + 32, j : j + 32] for i in range(3) for j in range(3))
        best = int(np.argmax(window))
        inside = (abs(x - best // 32) <= 1) & (abs(y - best % 32) <= 1)
        # What everybody of this kind does is no behaviour of a group's own.
        others = grid[1:33, 1:33].copy()
        others[x[inside], y[inside]] = 0.0
        usual = 9.0 * others.sum() / max(1, np.count_nonzero(others))
        if inside.sum() < max(COHORT, DENSER * usual):
            break
        load = s[at[inside], AT["requests"]]
        even = at[inside][load <= HEAVIER * np.median(load)]
        member.append(even)
        hub.append(np.full(len(even), number, dtype=np.int64))
        at, cell, number = at[~inside], [c[~inside] for c in cell], number + 1
    return np.concatenate(member), np.concatenate(hub)


def owners(world: World, uses: Rows) -> Rows:
    """Return the account rows of uses."""
    keys = np.array([key or 0 for key in world.uses.keys], dtype=np.int64)
    rows: Rows = keys[np.maximum(uses, 0)] >> 32
    return rows


def _pairs(a: Rows, b: Rows) -> tuple[Rows, Rows]:
    """Return the distinct pairs."""
    if not len(a):
        return a, b
    keys = np.unique(a << 32 | b)
    return keys >> 32, keys & 0xFFFFFFFF
