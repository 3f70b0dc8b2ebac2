"""The crowd: campaigns are judged as one, and their members answer for what the whole does.

Each member alone is below every threshold, so evidence on a campaign counts in full for each of
its accounts, and for a client in the share that they have of its traffic. It does so only once
the campaign has crossed the line (`Crowd.crosses`): that takes more than a single target does.
"""

from __future__ import annotations

import numpy as np

from excise.campaigns.register import Campaign, Register
from excise.decide.cases import Cases
from excise.decide.docket import Docket
from excise.decide.score import COUNTS, Score
from excise.decide.tenants import Tenants
from excise.features.conduct import AT, DAY_S
from excise.features.hashes import Hashes
from excise.features.interner import Rows
from excise.features.values import Bools
from excise.features.world import Piece, World
from excise.model.decision import Plane
from excise.model.entity import Family, Kind

#: how accounts are driven, and what is taken: a campaign needs evidence of both
DRIVEN = (Family.GRAPH, Family.TIME, Family.RESPONSE)
TAKEN = (Family.SHAPE, Family.VOLUME, Family.API)
#: an account older than its campaign by this much is no newcomer who inherits unseen
NEWCOMER_S = 2 * DAY_S
#: members of a campaign are met in waves this far apart, the heaviest first
WAVE_S = 60.0


class Crowd:
    """Owns the register, who belongs to campaigns that are enforced, and the waves.

    `cases.campaign_of` gives the enforced campaign of each account row, 0 for none; `told` until
    when an account need not be judged again; `hot` the templates of enforced campaigns.
    """

    def __init__(self, world: World, cases: Cases, docket: Docket, tenants: Tenants) -> None:
        self.world, self.cases, self.docket, self.tenants = world, cases, docket, tenants
        self.register = Register(world)
        self.told = np.zeros(world.tables[Kind.ACCOUNT].capacity)
        self.hot: dict[int, int] = {}
        self._hot: Hashes = np.empty(0, dtype=np.int64)
        #: accounts still to be met, the heaviest last, and when their wave goes on
        self.waiting: dict[str, list[int]] = {}
        self.waves: dict[str, float] = {}

    # Which campaigns are enforced

    def score(self, number: int, now: float) -> Score:
        """Score a campaign by the evidence on it."""
        return self.cases.own_score(Kind.CAMPAIGN, number, now)

    def crosses(self, score: Score, *, standing: bool) -> bool:
        """Whether a score makes a campaign enforced, or keeps it so."""
        policy = self.docket.settings.policy
        part = policy.keep if standing else 1.0
        least = policy.throttle * part
        firm = {f for f, points in score.points.items() if points >= COUNTS * part}
        mixed = firm.intersection(DRIVEN) and firm.intersection(TAKEN)
        return score.total >= least and len(firm) >= policy.campaign_families and bool(mixed)

    def review(self, now: float) -> list[Campaign]:
        """Look which campaigns are enforced; return those that have newly become so."""
        dossiers = self.cases.dossiers[Kind.CAMPAIGN]
        fresh: list[Campaign] = []
        for c in self.register.campaigns.values():
            crosses = self.crosses(self.score(c.number, now), standing=c.enforced_at > 0)
            if crosses and not c.enforced_at:
                c.enforced_at, c.rate = now, self._pace(c, now)
                fresh.append(c)
            elif not crosses:
                c.enforced_at = 0.0
        known = {n for n, d in dossiers.items() if d.evidence}
        self.register.prune(known, now)
        for number in [n for n in dossiers if n not in self.register.campaigns]:
            del dossiers[number]
        self.reindex(now)
        return fresh

    def load(self, campaigns: list[Campaign], released: list[int], serial: int, now: float) -> None:
        """Take over campaigns that were stored."""
        register = self.register
        register.campaigns = {c.number: c for c in campaigns}
        register.released, register.serial = set(released), serial
        self.world.campaigns = {c.number: c.id for c in campaigns}
        self.reindex(now)

    def _pace(self, campaign: Campaign, now: float) -> float:
        """Return the output tokens a second that a campaign has taken so far."""
        first = self.world.tables[Kind.ACCOUNT].first[list(campaign.accounts)]
        age_s = now - float(first.min(initial=now))
        return campaign.numbers.get("output_tokens_24h", 0.0) / max(3600.0, min(DAY_S, age_s))

    def reindex(self, now: float) -> None:
        """Find out anew who belongs to enforced campaigns; tenants within their budget do not."""
        self.cases.belong(slice(None), 0)
        self.hot = {}
        for c in self.register.campaigns.values():
            if c.enforced_at:
                members = [a for a in c.accounts if not self.tenants.spares(Kind.ACCOUNT, a, now)]
                self.cases.belong(members, c.number)
                self.hot |= dict.fromkeys(c.templates, c.number)
        self._hot = np.array(sorted(self.hot), dtype=np.int64)

    # Members

    def members_in(self, piece: Piece, at: slice = slice(None)) -> Bools:
        """Return per record whether it is of an enforced campaign: its account, or its template."""
        account = piece.account[at]
        found: Bools = self.cases.campaign_of[account] > 0
        if len(self._hot):
            read = piece.read
            hot = np.isin(read.template[at], self._hot) | np.isin(read.shared[at], self._hot)
            found = found | (hot & (account > 0))
        return found

    def join(self, account: int, templates: tuple[int, ...], now: float) -> int:
        """Return the enforced campaign of an account; a newcomer under its template joins."""
        number = int(self.cases.campaign_of[account])
        if number or account in self.register.released:
            return number
        if self.tenants.spares(Kind.ACCOUNT, account, now):
            return 0
        number = next((self.hot[t] for t in templates if t in self.hot), 0)
        if not number:
            return 0
        campaign = self.register.campaigns[number]
        first = self.world.tables[Kind.ACCOUNT].first[account]
        if first < campaign.born - NEWCOMER_S:
            return 0  # who was here before is judged by what it does, at the next pass
        campaign.accounts[account] = 0.5
        self.cases.belong(account, number)
        return number

    def settle(self, account: int, now: float, quiet_s: float) -> None:
        """Note that an account was judged and need not be for a while."""
        name = self.world.accounts.name(account)
        decision = self.docket.book.get(Plane.ACCOUNT, name)
        until = now + quiet_s
        if decision is not None and decision.wanted >= self.docket.ladder.top:
            until = max(until, decision.until - self.docket.half_ttl_s(decision))
        self.told[account] = until

    def release(self, account: int) -> None:
        """Take an account out of its campaign for good: the operator says that it is none."""
        number = int(self.cases.campaign_of[account])
        if number:
            self.register.campaigns[number].accounts.pop(account, None)
            self.register.released.add(account)
            self.cases.belong(account, 0)

    # Waves

    def queue(self, campaign: Campaign) -> str:
        """Line up the members of a campaign, the heaviest last; return the name of the wave."""
        name = f"campaign {campaign.id}"
        output = self.world.conduct.sums[:, AT["output"]]
        self.waiting[name] = sorted(campaign.accounts, key=lambda a: (output[a], a))
        return name

    def is_wave(self, name: str) -> bool:
        """Whether a timer's target is a wave."""
        return name in self.waiting

    def next_of(self, name: str) -> int:
        """Take the next account of a wave, 0 when there is none left."""
        waiting = self.waiting[name]
        while waiting:
            account = waiting.pop()
            if self.cases.campaign_of[account]:
                return account
        del self.waiting[name]
        self.waves.pop(name, None)
        return 0

    def has_room(self, now: float) -> bool:
        """Whether a wave may make another decision: it leaves half of the governor's minute."""
        brake = self.docket.brake
        return brake.recent(now) * 2 < brake.limits.max_new_per_min

    def start(self, name: str, at: float) -> None:
        """Have a wave go on at a time."""
        self.waves[name] = at
        self.docket.remind(at, Plane.NETWORK, name)

    def remind(self) -> None:
        """Set the timers of all waves, after the docket has forgotten its timers."""
        for name, at in self.waves.items():
            self.docket.remind(at, Plane.NETWORK, name)

    # Housekeeping

    def held(self) -> Rows:
        """Return account rows of enforced campaigns."""
        rows: Rows = np.flatnonzero(self.cases.campaign_of)
        return rows

    def forget_accounts(self, rows: Rows) -> None:
        """Forget accounts whose rows were given up."""
        self.register.forget_accounts(rows.tolist())
        self.cases.belong(rows, 0)
        self.told[rows] = 0.0

    def step_back(self, seconds: float) -> None:
        """Follow a clock that was set back."""
        self.register.step_back(seconds)
        self.told[self.told > 0] -= seconds
        self.waves = {name: at - seconds for name, at in self.waves.items()}
