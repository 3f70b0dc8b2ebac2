"""A pass the plain way: worlds of a few accounts, and what links them, edge by edge in Python."""

from collections import defaultdict
from random import Random

import numpy as np
from hypothesis import strategies as st

from excise.campaigns import templates as t
from excise.campaigns.accounts import LEAST, POOLED
from excise.campaigns.evidence import MOST
from excise.campaigns.exits import EXITS, OTHERS, SHARERS
from excise.features.conduct import AT, DAY_S
from excise.features.world import World
from excise.model.entity import Kind
from excise.model.settings import Capacity

NOW = 1_767_571_200.0
#: how accounts are used: repeats, and of these alone, moved, roamed, both alone and roamed;
#: prompts, and begins of these
WAYS = {
    "pool": (4.0, 4.0, 4.0, 4.0, 4.0, 5.0, 5.0),
    "once": (0.8, 0.8, 0.8, 0.8, 0.8, 1.0, 1.0),
    "lone": (4.0, 4.0, 0.5, 0.0, 0.0, 5.0, 4.9),
    "chat": (5.0, 0.5, 0.5, 0.0, 0.0, 9.0, 2.0),
    "home": (30.0, 9.0, 0.0, 0.0, 0.0, 30.0, 29.0),
    "quick": (3.0, 0.0, 2.0, 0.3, 0.0, 4.0, 3.5),
    "wide": (30.0, 3.0, 4.0, 2.0, 0.0, 30.0, 29.9),
    "sitting": (12.0, 3.0, 3.0, 3.0, 2.9, 13.0, 13.0),
    "new": (0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0),
}
SITES = ("192.0.2", "198.51.100", "203.0.113")
PLACES = ("repeats", "alone", "moved", "roamed", "strayed", "prompts", "begins")
ACCOUNTS, TEMPLATES = 16, 3
AGES = (*[0.0] * 28, 3_600.0, DAY_S - 1.0, DAY_S, DAY_S + 60.0)
#: most accounts of a world are used in one of these ways
MOSTLY = ("pool", "pool", "wide", "sitting", "once", "lone", "home", "chat")


def none():
    return np.empty(0, dtype=np.int64)


@st.composite
def worlds(draw):
    """Accounts with orgs, links and ties between them; some forgotten, and rows used again.

    Drawn from a random seed: what is rare in lists that Hypothesis draws is what this is about.
    """
    random = Random(draw(st.integers(0, 1 << 32)))
    world = World(Capacity(64, 64, 64, 64, 64, 64, 512, ties=512), lambda _: none(), lambda *_: 0)
    world.start(NOW - 5_000.0)
    odd, many, old = random.choice((0.0, 0.2)), random.choice((0.2, 0.8)), random.choice((0.1, 0.4))
    mostly, orgs = random.choice(MOSTLY), random.choice((0, 1, 4))
    people = [
        (
            random.choice([*WAYS]) if random.random() < odd else mostly,
            random.randint(0, orgs) if random.random() < many else 0,
            random.random() < old,
            random.choice(AGES),
        )
        for _ in range(ACCOUNTS)
    ]
    clients = random.choice((4, 12, 40))
    for _ in range(3):
        fill(world, people, random, clients, odd)
        forget(world, [world.accounts.rows.get(f"a{random.randint(1, ACCOUNTS)}", 0)])
        world.links.forget_clients(np.array([random.randint(1, clients)]))
    fill(world, people, random, clients, odd)
    return world


def fill(world, people, random, clients, odd):
    """Add links and ties."""
    known, templates = random.choice((1, 1, 0)), random.choice((1, TEMPLATES))
    for _ in range(random.choice((5, 20, 60))):
        a, c = random.randint(known, ACCOUNTS), random.randint(1, clients)
        key = (f"{SITES[c % 3]}.{c}", f"a{a}" if a else "", "", f"s{random.randint(0, 1)}")
        found, _ = world.directory.find([key])
        row, at = int(found[0, 1]), int(found[0, 4])
        seen(world, people, row, a)
        world.links.last[at], world.links.sums[at] = (
            NOW - random.choice(AGES),
            (3.0 + c, 9.0, 3.0 + c),
        )
    for a in random.sample(range(1, ACCOUNTS + 1), random.choice((0, 5, ACCOUNTS))):
        row, _ = world.accounts.one(f"a{a}")
        seen(world, people, row, a)
        at = world.conduct.ties.one(row, random.randint(1, templates) << 40)
        way = random.choice([*WAYS]) if random.random() < odd else people[a - 1][0]
        world.conduct.ties.last[at] = NOW - random.choice(AGES)
        world.conduct.ties.sums[at, [AT[p] for p in PLACES]] = WAYS[way]
        world.conduct.ties.sums[at, AT["requests"]] = WAYS[way][5]


def seen(world, people, row, number):
    if not row:
        return
    way, org, old, age = people[number - 1]
    world.conduct.last[row] = NOW - age
    world.conduct.org[row] = org
    world.conduct.sums[row, [AT[p] for p in PLACES]] = WAYS[way]
    table = world.tables[Kind.ACCOUNT]
    table.sums[row, table.index["clients"]] = 14.0 if way == "wide" else 3.0
    table.first[row] = NOW - (15 * DAY_S if old else 40_000.0)


def forget(world, rows):
    rows = np.array([row for row in rows if row], dtype=np.int64)
    world.directory.clear_memo()
    world._drop_uses(world.directory.uses_where(32, rows))
    world.accounts.forget(rows.tolist())
    world._clear(Kind.ACCOUNT, rows)


# The plain way


def live_links(world):
    """Return client, account, and requests of the links of a day."""
    links = world.links
    return [
        (int(links.client[i]), world.use_owner(int(links.use[i])), float(links.sums[i, 0]))
        for i in np.flatnonzero(links.last > NOW - DAY_S).tolist()
    ]


def plain_exits(world, accounts):
    drawn = set(accounts.rows[accounts.drawn & ~accounts.keyed].tolist())
    behind = defaultdict(set)
    for client, owner, _ in live_links(world):
        behind[client].add(owner)
    joins = {
        c
        for c, who in behind.items()
        if len(who & drawn) >= SHARERS and len(who) <= OTHERS * len(who & drawn)
    }
    found = set()
    for a in drawn:
        all_of = {c for c, who in behind.items() if a in who}
        if len(all_of & joins) >= EXITS and 2 * len(all_of & joins) >= len(all_of):
            found |= {(a, c) for c in all_of & joins}
    return found


def plain_templates(world, accounts, sharing):
    """Return who is linked by which template, the common ones, and those that are a fleet's own."""
    ties, place = world.conduct.ties, dict(zip(accounts.rows.tolist(), range(99), strict=False))
    by_hash = defaultdict(list)
    for i in ties.live().tolist():
        a = int(ties.account[i])
        if ties.last[i] > NOW - DAY_S and a in place:
            faded = (ties.sums[i] * world.fade(NOW)).tolist()
            by_hash[int(ties.template[i])].append((place[a], {n: faded[AT[n]] for n in PLACES}))
    linked, common, own = set(), set(), set()
    for template, sent in by_hash.items():
        kept, is_common, is_own = judged(accounts, sharing, sent)
        linked |= {(at, template) for at in kept}
        common |= {template} if is_common else set()
        own |= {template} if is_own else set()
    return linked, common, own


def judged(accounts, sharing, sent):
    """Judge one template: who is linked by it, whether it is common, and a fleet's own."""
    many = len({int(accounts.principal[at]) for at, _ in sent}) >= LEAST
    begins, _ = share(sent, "prompts", "begins")
    moves, repeats = share(sent, "repeats", "moved")
    alone, _ = share(sent, "repeats", "alone")
    spread = [bool(accounts.spread[at]) or at in sharing for at, _ in sent]
    away = [
        max(s["moved"], s["alone"]) >= POOLED * s["repeats"] or w
        for (_, s), w in zip(sent, spread, strict=True)
    ]
    homeless = begins >= t.BEGINS and without_home(accounts, sent, spread)
    once = [w for w, (_, s) in zip(away, sent, strict=True) if s["repeats"] >= t.ONCE]
    twice = [w for w, (_, s) in zip(away, sent, strict=True) if s["repeats"] >= t.TWICE]
    far = sum(s["repeats"] >= t.ONCE and s["roamed"] >= POOLED * s["repeats"] for _, s in sent)
    honest = sum(bool(accounts.honest[at]) for at, _ in sent) / len(sent)
    shared = (honest > t.HONEST_SHARE or sum(once) < t.MOSTLY * len(once)) and not homeless
    own = sum(twice) >= t.NEARLY_ALL * len(twice)
    own |= begins >= t.NO_TALK and sum(twice) >= t.MOSTLY * len(twice)
    own &= len(twice) >= LEAST
    most = far >= t.WITHOUT_EXCEPTION * len(once)
    own |= begins >= t.NO_TALK and len(once) >= t.SCATTERED and most
    own |= homeless and begins >= t.NO_TALK and sum(spread) >= t.SCATTERED
    like = begins >= t.BEGINS and repeats >= t.LEAST_REPEATS and max(moves, alone) >= POOLED
    good = many and not shared and (like or homeless)
    good &= sum(bool(accounts.old[at]) for at, _ in sent) / len(sent) < t.OLD_SHARE
    kept = [
        at
        for (at, s), w in zip(sent, away, strict=True)
        if (own and not accounts.talks[at])
        or (not accounts.honest[at] and s["repeats"] >= t.ONCE and w)
    ]
    common = many and len(twice) >= LEAST and (shared or not own)
    return (kept if good else []), common, good and own


def without_home(accounts, sent, spread):
    known = sum(w or bool(accounts.known[at]) for (at, _), w in zip(sent, spread, strict=True))
    talk = sum(bool(accounts.talks[at]) for at, _ in sent) / len(sent)
    back = sum(s["repeats"] >= t.ONCE for _, s in sent)
    enough = sum(spread) >= max(LEAST, t.NEARLY_ALL * known, t.SPOKEN_FOR * back)
    return enough and talk <= t.HONEST_SHARE


def share(sent, by, part):
    whole = some = 0.0
    for _, s in sent:
        scale = min(1.0, MOST / max(s[by], 1e-9))
        whole, some = whole + s[by] * scale, some + s[part] * scale
    return some / max(whole, 1e-9), whole
