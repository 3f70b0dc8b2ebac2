"""The accounts of a day, and how each is used: like a person, a program, or one drawn from a pool.

A person or a program comes back to a conversation, or comes back at once, or comes back from
where it was. An account that a scheduler draws from a pool does neither: its next request comes
alone and from another exit. Or it keeps an exit for a while, as proxies are sold that way too: then
it has been through more of them by the evening than a person has places.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from excise.campaigns.haunts import Haunts, haunts
from excise.features.conduct import AT, DAY_S
from excise.features.interner import Rows
from excise.features.state import Column, Matrix
from excise.features.values import Bools
from excise.features.world import World
from excise.model.entity import Kind

#: fewest principals (organisations, or accounts without one) that make a group
LEAST = 6
#: share of repeats that move, or come alone, from which a group is used like a pool. Of people's
#: requests in a conversation some 7 % come alone, and some 5 % from another network
POOLED = 0.5
#: an account is known to be drawn from a pool once it came back this often
CAME_BACK = 1.5
#: an account with this many prompts of which fewer begin something holds conversations
TALKS_FROM, TALKS = 5.0, 0.6
#: an account that came back this often, and moved less than this, has a home
HOME_FROM, HOME = 4.0, 0.2
#: an account seen at this many addresses in a day goes through a pool of them: people have a home,
#: a desk, and a phone that is given another a few times a day. From twice as many on its
#: conversations are a pool's too
WIDE = 12.0
#: so does one that was in as many unrelated networks, none of which has this share of its requests
NETWORKS, HOMELESS = 4.0, 0.4
#: and one at as many addresses has no desk, if none of them has this share of its requests
ADDRESSES, DESKLESS = 6.0, 0.34
#: an account nearly all of whose lone returns are from unrelated networks is drawn from a pool too,
#: whatever it does in between: a proxy keeps its exit for one sitting
STRAYS = 0.85
#: how an account is used is not known before it has been there for so long: nobody is at home
#: who was seen once
KNOWN_S = 6 * 3600.0
#: an account is old after this time
OLD_S = 14 * DAY_S


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts active within a day, and what is known of each.

    `place[row]` is where the account of a row of the world is among them, -1 if it is not. Honest
    are those that hold conversations (`talks`), and those that stay at home. `spread` go through
    more addresses than a person does, or through networks without a home in any, or come back from
    elsewhere each time. `known` are those that were seen for long enough to tell. `keyed` are keys
    of an organisation that uses several: its machines explain why they move.
    """

    rows: Rows
    place: Rows
    sums: Matrix
    principal: Rows
    keyed: Bools
    talks: Bools
    honest: Bools
    spread: Bools
    drawn: Bools
    known: Bools
    old: Bools


def active(world: World, now: float) -> Accounts:
    """Return the accounts of a day. Sums need no fading where only shares are asked."""
    conduct, table = world.conduct, world.tables[Kind.ACCOUNT]
    last = conduct.last[: world.used(Kind.ACCOUNT)]
    rows = np.flatnonzero(last > now - DAY_S)
    place = np.full(len(last), -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    sums = conduct.sums[rows]
    sums *= world.fade(now)
    found, first = haunts(world, rows, now), table.first[rows]
    spread = _spread(found, sums)
    talks, settled, drawn = _conduct(sums, found, spread)
    lasting = last[rows] - first >= KNOWN_S
    return Accounts(
        rows,
        place,
        sums,
        conduct.principals(rows),
        _keyed(conduct.org[rows]),
        talks,
        talks | settled,
        spread,
        drawn & ~settled,
        talks | spread | lasting,
        first < now - OLD_S,
    )


def _spread(found: Haunts, sums: Matrix) -> Bools:
    """Say which accounts have no place of their own."""
    alone = sums[:, AT["alone"]]
    wide = (found.addresses >= WIDE) | ((found.networks >= NETWORKS) & (found.home < HOMELESS))
    strays = (alone >= CAME_BACK) & (sums[:, AT["strayed"]] >= STRAYS * alone)
    spread: Bools = wide | strays
    return spread


def _conduct(sums: Matrix, found: Haunts, spread: Bools) -> tuple[Bools, Bools, Bools]:
    """Say which accounts hold conversations, which stay at home, and which seem to be drawn.

    Who is at home in a network but at no desk in it may be on a phone, or in a pool of machines:
    nothing is known of it, and whom it shares its addresses with decides.
    """
    repeats, prompts = sums[:, AT["repeats"]], sums[:, AT["prompts"]]
    moved, alone = (_share(sums, part, repeats) for part in ("moved", "alone"))
    nowhere = spread | ((found.addresses >= ADDRESSES) & (found.desk < DESKLESS))
    talks = (prompts >= TALKS_FROM) & (_share(sums, "begins", prompts) < TALKS)
    talks &= found.addresses < 2 * WIDE
    settled = (repeats >= HOME_FROM) & (moved < HOME) & (alone < POOLED) & ~nowhere
    drawn = ~talks & (repeats >= CAME_BACK) & ((moved >= POOLED) | nowhere)
    return talks, settled, drawn


def _share(sums: Matrix, part: str, whole: Column) -> Column:
    share: Column = sums[:, AT[part]] / np.maximum(whole, 1e-9)
    return share


def _keyed(org: Rows) -> Bools:
    """Say which accounts are of an organisation that uses several."""
    several: Bools = np.bincount(org, minlength=1) > 1
    several[0] = False  # no organisation
    return several[org]
