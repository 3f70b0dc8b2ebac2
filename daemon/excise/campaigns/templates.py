"""Templates that a fleet sends: accounts used like a pool do, and hardly anybody else does.

What nearly everybody shares links nobody, so most of this is about whom else a template is of.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from excise.campaigns.accounts import LEAST, POOLED, Accounts
from excise.campaigns.evidence import distinct, pooled, repeated
from excise.campaigns.succession import succession
from excise.features.conduct import AT, DAY_S
from excise.features.hashes import Hashes
from excise.features.interner import Rows
from excise.features.state import Column
from excise.features.values import Bools
from excise.features.world import World
from excise.model.entity import Kind

#: fewest repeats (requests of accounts seen before) by which a group's ways are known
LEAST_REPEATS = 8.0
#: share of prompts that begin a conversation; people's are below half
BEGINS = 0.8
#: a template of which this share of the accounts is old is common property
OLD_SHARE = 0.4
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
#: who has no place of its own speaks for all under a template if it is this share of who came back
SPOKEN_FOR = 0.25
#: so many accounts, in so many generations, come one after the other rather than as they like, if
#: how many are in use at a time varies by less than this much of what chance would have it
ROTATED, GENERATIONS, ORDERLY = 16, 8.0, 0.5
#: what is asked of ties
ASKED = ("repeats", "alone", "moved", "roamed", "strayed", "prompts", "begins")


@dataclass(frozen=True, slots=True)
class Templates:
    """The account at place `member[i]` is linked by the template `hub[i]`.

    `own` are templates that nobody but a fleet uses, `common` those that others use too.
    """

    member: Rows
    hub: Hashes
    common: Hashes
    own: Hashes


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent within a day: the account at `at[i]` sent template `hashes[of[i]]`.

    `sums` are columns of these ties. `spread` says who has no place of its own, or shares its
    exits as a pool does, and `away` who is that or whose repeats are mostly so; `last` is when.
    """

    hashes: Hashes
    of: Rows
    at: Rows
    sums: dict[str, Column]
    spread: Bools
    away: Bools
    last: Column

    def count(self, which: Bools) -> Rows:
        """Return by template how many of some ties it has."""
        return np.bincount(self.of[which], minlength=len(self.hashes))

    def share(self, which: Bools) -> Column:
        """Return by template which share of its ties are some."""
        share: Column = self.count(which) / np.bincount(self.of, minlength=len(self.hashes))
        return share

    def pooled(self, part: str, by: str) -> tuple[Column, Column]:
        """Return by template the share that `part` is of `by`, and how much it rests on."""
        return pooled(self.sums[by], self.sums[part], self.of, len(self.hashes))


def by_template(world: World, accounts: Accounts, sharing: Rows, now: float) -> Templates:
    """Join accounts by templates under which accounts are used like a pool, and hardly others.

    `sharing` are places of accounts that share exits.
    """
    sent = _sent(world, accounts, sharing, now)
    begins, _ = sent.pooled("begins", "prompts")
    many, homeless = _many(sent, accounts), _homeless(sent, accounts, begins)
    shared = _shared(sent, accounts) & ~homeless
    own = _own(sent, begins) | (homeless & _certain(sent, begins))
    spent = _spent(world, accounts, sent, begins)
    shared, own = shared & ~spent, own | spent
    good = many & ~shared & (_like_a_pool(sent, begins) | homeless | spent)
    good &= sent.share(accounts.old[sent.at]) < OLD_SHARE
    # Until a template is known to be the fleet's own, only those link whose own conduct is seen.
    at, of = sent.at, sent.of
    seen = ~accounts.honest[at] & (sent.sums["repeats"] >= ONCE) & sent.away
    kept = good[of] & ((own[of] & ~accounts.talks[at]) | seen)
    known = sent.count(sent.sums["repeats"] >= TWICE) >= LEAST
    common = sent.hashes[many & known & (shared | ~own)]
    return Templates(at[kept], sent.hashes[of[kept]], common, sent.hashes[good & own])


def _sent(world: World, accounts: Accounts, sharing: Rows, now: float) -> Sent:
    """Take the ties of a day under templates that so many sent as make a group."""
    ties = world.conduct.ties
    live = ties.live()
    live = live[(ties.last[live] > now - DAY_S) & (accounts.place[ties.account[live]] >= 0)]
    # Most templates are one account's: they are sieved out before anything is sorted.
    live = live[repeated(ties.template[live], LEAST)]
    hashes, of = np.unique(ties.template[live], return_inverse=True)
    sums = {name: ties.sums[live, AT[name]] * world.fade(now) for name in ASKED}
    at = accounts.place[ties.account[live]]
    away = np.maximum(sums["moved"], sums["alone"]) >= POOLED * sums["repeats"]
    spread = accounts.spread.copy()
    spread[sharing] = True
    return Sent(hashes, of, at, sums, spread[at], away | spread[at], ties.last[live])


def _many(sent: Sent, accounts: Accounts) -> Bools:
    """Say which templates so many principals send as make a group."""
    principal = accounts.principal[sent.at]
    # Accounts without an organisation are their own: only the others need telling apart.
    own, n = principal < 0, len(sent.hashes)
    many: Bools = sent.count(own) + distinct(sent.of[~own], principal[~own], n) >= LEAST
    return many


def _like_a_pool(sent: Sent, begins: Column) -> Bools:
    """Say under which templates prompts begin something, and repeats move or come alone."""
    moves, repeats = sent.pooled("moved", "repeats")
    alone, _ = sent.pooled("alone", "repeats")
    known: Bools = (begins >= BEGINS) & (repeats >= LEAST_REPEATS)
    return known & ((moves >= POOLED) | (alone >= POOLED))


def _homeless(sent: Sent, accounts: Accounts, begins: Column) -> Bools:
    """Say under which templates nearly all who are known have no place of their own.

    However long they stay at each: who was hardly seen yet may have one, and does not count,
    unless so many came back that it takes more than a few odd ones to speak for them.
    """
    known = sent.count(accounts.known[sent.at] | sent.spread)
    spread = sent.count(sent.spread)
    talk = sent.share(accounts.talks[sent.at]) > HONEST_SHARE
    homeless: Bools = (spread >= LEAST) & (spread >= NEARLY_ALL * known) & ~talk
    homeless &= spread >= SPOKEN_FOR * sent.count(sent.sums["repeats"] >= ONCE)
    return homeless & (begins >= BEGINS)


def _certain(sent: Sent, begins: Column) -> Bools:
    """Say where so many are spread, and talk so little, that newcomers will be too."""
    certain: Bools = sent.count(sent.spread) >= SCATTERED
    return certain & (begins >= NO_TALK)


def _spent(world: World, accounts: Accounts, sent: Sent, begins: Column) -> Bools:
    """Say under which templates accounts are used up one after another, wherever each is."""
    spent = (begins >= NO_TALK) & (np.bincount(sent.of, minlength=len(sent.hashes)) >= ROTATED)
    of = np.flatnonzero(spent[sent.of])
    if not len(of):
        return spent
    first = world.tables[Kind.ACCOUNT].first[accounts.rows[sent.at[of]]]
    uneven, mean = succession(first, sent.last[of], sent.of[of], len(spent))
    in_use = np.bincount(sent.of, minlength=len(spent)) / np.maximum(mean, 1.0)
    orderly: Bools = spent & (uneven < ORDERLY) & (in_use > GENERATIONS)
    return orderly


def _shared(sent: Sent, accounts: Accounts) -> Bools:
    """Say which templates are used by people too, or as people do."""
    back = sent.sums["repeats"] >= ONCE
    by_people = sent.share(accounts.honest[sent.at]) > HONEST_SHARE
    shared: Bools = by_people | (sent.count(back & sent.away) < MOSTLY * sent.count(back))
    return shared


def _own(sent: Sent, begins: Column) -> Bools:
    """Say which templates are known to be a fleet's own."""
    repeats = sent.sums["repeats"]
    twice, no_talk = repeats >= TWICE, begins >= NO_TALK
    like, back = sent.count(twice & sent.away), sent.count(twice)
    own: Bools = (like >= NEARLY_ALL * back) | (no_talk & (like >= MOSTLY * back))
    own &= back >= LEAST
    once = repeats >= ONCE
    far = sent.count(once & (sent.sums["roamed"] >= POOLED * repeats))
    scattered = (sent.count(once) >= SCATTERED) & (far >= WITHOUT_EXCEPTION * sent.count(once))
    return own | (no_talk & scattered)
