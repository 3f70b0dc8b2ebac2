"""The register: campaigns with stable ids, through growing, merging and splitting.

A group found now is the campaign with which it shares most accounts, or a template; what is left
of a campaign that split is a new one; of campaigns that merged the oldest stays. Members are kept
though they fall silent: a campaign whose accounts were denied has not ended.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np

from excise.campaigns.groups import Groups
from excise.features.interner import Rows
from excise.features.world import World
from excise.model.entity import Kind

#: a campaign that was not found again for this long is forgotten
FORGOTTEN_S = 14 * 86_400.0
#: most campaigns that are kept
MOST = 1_000
#: a campaign that lies to this share in another's group is part of it
MERGES = 0.5
#: the strength of a member for which two things speak
SURE = 1.0


@dataclass(slots=True)
class Campaign:
    """One campaign. `accounts` are rows with the strength of their membership (0 to 1).

    `templates` link it; `numbers` are its features when it was last found, `exits` its clients.
    `enforced_at` is when it was first held to be one (0.0: it is only watched), `rate` the output
    tokens a second that it took until then.
    """

    number: int
    id: str
    born: float
    seen: float
    accounts: dict[int, float] = field(default_factory=dict)
    templates: tuple[int, ...] = ()
    numbers: dict[str, float] = field(default_factory=dict)
    enforced_at: float = 0.0
    rate: float = 0.0


class Register:
    """Owns the campaigns by number; numbers are not used twice."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.campaigns: dict[int, Campaign] = {}
        #: accounts that the operator took out of a campaign: they are never members again
        self.released: set[int] = set()
        self.serial = 0

    def by_id(self, text: str) -> Campaign | None:
        """Return a campaign by its id."""
        return next((c for c in self.campaigns.values() if c.id == text), None)

    def match(self, groups: Groups, now: float) -> Rows:
        """Name the groups: the number of the campaign that each is, old or new."""
        overlaps = self._overlaps(groups)
        rows = np.zeros(groups.n, dtype=np.int64)
        for _, number, g in sorted(overlaps, key=lambda o: (-o[0], o[1], o[2])):
            if not rows[g] and number not in rows:
                rows[g] = number
        for g in range(groups.n):
            accounts = groups.account[groups.of == g]
            if not rows[g]:
                rows[g] = self._new(accounts, now)
            self._update(self.campaigns[int(rows[g])], groups, g, accounts, now)
        self._merge(rows, groups)
        self._clear(groups)
        return rows

    def _clear(self, groups: Groups) -> None:
        """Take out who turned out honest, and whom a template brought that others use too."""
        common, honest = set(groups.common.tolist()), set(groups.honest.tolist())
        for campaign in self.campaigns.values():
            lost = common.intersection(campaign.templates)
            campaign.templates = tuple(t for t in campaign.templates if t not in lost)
            campaign.accounts = {
                a: s
                for a, s in campaign.accounts.items()
                if a not in honest and not (lost and s < SURE)
            }

    def _overlaps(self, groups: Groups) -> list[tuple[int, int, int]]:
        """Return (shared accounts or templates, campaign, group), where there are any."""
        group_of = dict(zip(groups.account.tolist(), groups.of.tolist(), strict=True))
        template_of = dict(zip(groups.templates.tolist(), groups.template_of.tolist(), strict=True))
        found: list[tuple[int, int, int]] = []
        for number, campaign in self.campaigns.items():
            shared: dict[int, int] = {}
            for members, of in ((campaign.accounts, group_of), (campaign.templates, template_of)):
                for thing in members:
                    if (g := of.get(thing)) is not None:
                        shared[g] = shared.get(g, 0) + 1
            found += [(n, number, g) for g, n in shared.items()]
        return found

    def _new(self, accounts: Rows, now: float) -> int:
        first = self.world.tables[Kind.ACCOUNT].first[accounts]
        eldest = self.world.accounts.name(int(accounts[np.lexsort((accounts, first))[0]]))
        self.serial += 1
        digest = hashlib.blake2b(f"{eldest}|{now:.3f}|{self.serial}".encode(), digest_size=5)
        name = f"c-{digest.hexdigest()}"
        self.campaigns[self.serial] = Campaign(self.serial, name, now, now)
        self.world.campaigns[self.serial] = name
        return self.serial

    def _update(
        self, campaign: Campaign, groups: Groups, g: int, accounts: Rows, now: float
    ) -> None:
        campaign.seen = now
        strength = groups.strength[groups.of == g]
        members = dict(zip(accounts.tolist(), strength.tolist(), strict=True))
        campaign.accounts |= {a: s for a, s in members.items() if a not in self.released}
        mine = groups.templates[(groups.template_of == g) & groups.own].tolist()
        campaign.templates = tuple(sorted({*campaign.templates, *mine}))

    def _merge(self, rows: Rows, groups: Groups) -> None:
        """Let campaigns that lie in another's group be part of it."""
        found = {int(row) for row in rows}
        where = {
            a: int(rows[g])
            for a, g in zip(groups.account.tolist(), groups.of.tolist(), strict=True)
        }
        for number in [n for n in self.campaigns if n not in found]:
            campaign = self.campaigns[number]
            into = [where[a] for a in campaign.accounts if a in where]
            for other in dict.fromkeys(into):
                if into.count(other) >= MERGES * len(campaign.accounts):
                    self.absorb(self.campaigns[other], campaign)
                    break

    def absorb(self, stays: Campaign, goes: Campaign) -> None:
        """Make one campaign part of another, which takes the elder's id and age."""
        stays.accounts = goes.accounts | stays.accounts
        stays.templates = tuple(sorted({*stays.templates, *goes.templates}))
        if goes.born < stays.born:
            stays.id, stays.born = goes.id, goes.born
            self.world.campaigns[stays.number] = stays.id
        times = [at for at in (stays.enforced_at, goes.enforced_at) if at]
        stays.enforced_at, stays.rate = min(times, default=0.0), stays.rate + goes.rate
        self.forget(goes.number)

    def prune(self, standing: set[int], now: float) -> None:
        """Forget campaigns of long ago; `standing` have evidence or are enforced."""
        ended = [
            n for n, c in self.campaigns.items() if n not in standing or now - c.seen > FORGOTTEN_S
        ]
        stalest = sorted(self.campaigns, key=lambda n: self.campaigns[n].seen)
        for number in {*ended, *stalest[: max(0, len(stalest) - MOST)]}:
            self.forget(number)

    def forget(self, number: int) -> None:
        """Forget a campaign."""
        del self.campaigns[number]
        self.world.campaigns.pop(number, None)

    def forget_accounts(self, rows: list[int]) -> None:
        """Forget members whose rows were given up."""
        self.released.difference_update(rows)
        for campaign in self.campaigns.values():
            for row in rows:
                campaign.accounts.pop(row, None)

    def step_back(self, seconds: float) -> None:
        """Follow a clock that was set back."""
        for c in self.campaigns.values():
            c.born, c.seen = c.born - seconds, c.seen - seconds
            c.enforced_at -= seconds if c.enforced_at else 0.0
