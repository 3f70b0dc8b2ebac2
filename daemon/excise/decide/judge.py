"""The judge: evidence on entities becomes verdicts on targets.

A client is judged on the network plane and its culprits on the account plane; a use through its
account and its clients; a subnet where its members act alike; a prefix around guilty clients.
Nothing here looks at a record: time comes in as `now`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from excise.decide.book import Verdict
from excise.decide.bounds import OWNER_SHARE, Bounds
from excise.decide.cases import Cases, Seen
from excise.decide.cordons import Cordons
from excise.decide.crowd import Crowd
from excise.decide.docket import Docket
from excise.decide.fleets import Fleets
from excise.decide.ladder import MILDEST, NOTHING, OBSERVE
from excise.decide.neighbours import Neighbours
from excise.decide.roll import Roll
from excise.decide.tenants import Tenants
from excise.decide.terms import Terms
from excise.decide.trials import Trials
from excise.decide.watch import Watch
from excise.decide.words import reason
from excise.features.interner import Rows
from excise.features.world import World
from excise.model.decision import Decision, Op, Origin, Plane
from excise.model.entity import Kind
from excise.model.settings import Settings
from excise.rules.schema import Rule

#: a client that was judged need not be judged again on inherited evidence for this long
SETTLED_S = 30.0
#: an entity on which no new evidence has come is judged again after this long
RECHECK_S = 600.0


class Judge:
    """Holds the cases, the neighbours and the docket; owns who is settled until when.

    `heard` says until when an account need not be scored again, `judged` when an entity was
    judged last.
    """

    def __init__(self, settings: Settings, world: World) -> None:
        self.world = world
        self.docket = Docket(settings, world)
        self.cases = Cases(world, settings.policy)
        self.neighbours = Neighbours(world, self.cases, settings.policy, settings.governor)
        self.cases.alike = self.neighbours.acts_alike
        self.tenants = Tenants(world, settings.tenants)
        self.crowd = Crowd(world, self.cases, self.docket, self.tenants)
        self.settled = np.zeros(world.tables[Kind.CLIENT].capacity)
        self.bounds = Bounds(world, self.cases, self.docket, self.neighbours)
        self.watch = Watch(world, self.cases)
        self.fleets = Fleets(world, self.crowd, self.settled, SETTLED_S)
        self.fleets.connect(self._assess_member, self._assess_client, self._end)
        self.trials = Trials(world, self.crowd, settings.trials)
        self.trials.connect(self._assess_account, self._end)
        self.heard: dict[int, float] = {}
        self.judged: dict[tuple[Kind, int], float] = {}
        self.cordons = Cordons(world, self.cases, self.neighbours, self.docket, self.fleets)
        self.cordons.connect(self._end)
        self.roll = Roll(world, self.cases, self.docket, self.crowd, self.trials)
        self.terms = Terms(self.cases, self.docket, self.bounds, self.cordons, self.roll)
        self.terms.connect(self._again, self._end)

    def hit(self, kind: Kind, row: int, rule: Rule, now: float, seen: Seen) -> bool:
        """Take note that a rule fired for an entity; return whether to judge it now."""
        if self.tenants.spares(kind, row, now):
            return False
        raised, finding = self.cases.file(kind, row, rule, now, seen)
        if finding is not None:
            self.docket.emit(finding)
        if raised:
            return True
        if kind is Kind.CLIENT:
            return bool(self.settled[row] <= now)
        return now >= self.judged.get((kind, row), 0.0) + RECHECK_S

    def assess(self, kind: Kind, row: int, now: float) -> None:
        """Judge an entity, and those who answer for it."""
        self.judged[kind, row] = now
        if kind is Kind.CLIENT:
            self._assess_client(row, now)
        elif kind is Kind.ACCOUNT:
            self._assess_anew(row, now)
        elif kind is Kind.USE:
            self._assess_use(row, now)
        elif kind is Kind.SUBNET:
            self._assess_subnet(row, now)
        # Stacks and templates are context: what they show is explained, never enforced alone.

    def hot(self, kind: Kind, row: int) -> bool:
        """Whether clients answer for an entity."""
        if kind is Kind.USE:
            return bool(self.cases.hot_use[row])
        return kind is Kind.SUBNET and bool(self.cases.hot_subnet[row])

    # Clients

    def _assess_client(self, row: int, now: float) -> None:
        self.settled[row] = now + SETTLED_S
        if self.tenants.spares(Kind.CLIENT, row, now):
            return
        score = self.cases.client_score(row, now)
        rung = self.cases.rung(self.docket.ladder, score, now)
        if rung == NOTHING:
            return
        why, most = reason(score), self.docket.ladder.top
        if rung >= MILDEST:
            behind = self.cases.collateral(row)
            if self.cases.has_own(row):
                for use in behind.culprits:
                    self._assess_account(self.world.use_owner(use), now)
            most, held = self.bounds.client(row, behind, now)
            if rung > most:
                rung, why = most, why + held
        if rung >= MILDEST and self._in_cordon(row, now):
            return
        name = self.world.clients.name(row)
        campaign = self.fleets.campaign_of(score, self.cases.campaigns_of_client(row))
        verdict = Verdict(rung, score.total, score.rules, why, most, campaign)
        self.docket.apply(Plane.NETWORK, name, verdict, now)
        decision = self.docket.book.get(Plane.NETWORK, name)
        if decision is not None and decision.wanted >= rung:
            self._settle(row, decision)
        throttled = decision is not None and MILDEST <= decision.wanted < self.docket.ladder.top
        inherits = throttled and not self.cases.has_own(row)
        self.watch.note(row, now + SETTLED_S if inherits else np.inf)

    def _in_cordon(self, row: int, now: float) -> bool:
        """Count a client as guilty; True if a prefix around it is, or comes, under decision."""
        self.neighbours.add(row)
        around = self.cordons.around(row, now)
        if around is not None:
            self._settle(row, around)
            return True
        return self.cordons.draw(row, now)

    def reconsider(self, row: int, now: float) -> None:
        """Look again at a client by which somebody came whom nothing speaks against."""
        if self.watch.due[row] <= now:
            self._assess_client(row, now)

    def _settle(self, row: int, decision: Decision) -> None:
        until = decision.until - self.docket.half_ttl_s(decision)
        self.settled[row] = max(self.settled[row], until)

    # Accounts and uses

    def _assess_account(self, row: int, now: float) -> None:
        """Judge an account, at most once every `SETTLED_S`: its clients all lead here."""
        if row == 0 or now < self.heard.get(row, 0.0):
            return
        if self.tenants.spares(Kind.ACCOUNT, row, now):
            return
        self.heard[row] = now + SETTLED_S
        score = self.cases.account_score(row, now)
        rung = self.cases.rung(self.docket.ladder, score, now)
        why, most = reason(score), self.docket.ladder.top
        if rung >= MILDEST and (others := self.cases.honest_uses(row, now)) >= OWNER_SHARE:
            rung = most = OBSERVE
            why += f"; spared: {others:.0%} of its requests come through programs of good standing"
        if rung:
            campaign = self.fleets.campaign_of(score, [int(self.cases.campaign_of[row])])
            ttl_s = self.docket.ttl_of(Plane.ACCOUNT, campaign) if rung >= MILDEST else None
            verdict = Verdict(rung, score.total, score.rules, why, most, campaign, ttl_s)
            name = self.world.accounts.name(row)
            self.docket.apply(Plane.ACCOUNT, name, verdict, now)
            decision = self.docket.book.get(Plane.ACCOUNT, name)
            # Any other may have an owner, who must be let in as soon as he comes.
            if campaign and decision is not None and decision.wanted >= self.docket.ladder.top:
                until = decision.until - self.docket.half_ttl_s(decision)
                self.heard[row] = max(self.heard[row], until)

    def _assess_anew(self, row: int, now: float) -> None:
        """Judge an account on what is new of itself or of a use, unless it is denied anyway.

        What is new is told once: it must not be lost because a moment before there was less.
        """
        decision = self.docket.book.get(Plane.ACCOUNT, self.world.accounts.name(row))
        if decision is None or decision.wanted < self.docket.ladder.top:
            self.heard.pop(row, None)
        self._assess_account(row, now)

    def _assess_member(self, row: int, now: float) -> None:
        """Judge an account of a campaign, even one that was denied before for its own sake."""
        self.heard.pop(row, None)
        self._assess_account(row, now)

    def _assess_use(self, row: int, now: float) -> None:
        self._assess_anew(self.world.use_owner(row), now)
        if not self.cases.warm(row, self.docket.ladder, now):
            return  # who uses it from now on is judged at each one's next record
        for client in self.cases.clients_of(row):
            if self.settled[client] <= now:
                self._assess_client(client, now)

    # Subnets

    def _assess_subnet(self, row: int, now: float) -> None:
        """Judge a subnet as a whole where its members act alike."""
        score = self.cases.own_score(Kind.SUBNET, row, now)
        rung = self.cases.rung(self.docket.ladder, score, now)
        if rung == NOTHING:
            return
        policy = self.docket.settings.policy
        why = reason(score)
        most = self.docket.ladder.top
        if rung >= MILDEST:
            alike, honest = self.neighbours.alike(row, now)
            if alike < policy.subnet_members or honest > self.neighbours.most_honest():
                # Too many others for the subnet as a whole: its members are met one by one.
                self.cases.hot_subnet[row] = alike >= policy.subnet_members
                rung = most = OBSERVE
                why = f"{why}; {alike} members act alike, {honest:.0%} do not"
            elif honest > policy.collateral_soften:
                most = self.docket.ladder.top - 1
                rung, why = min(rung, most), f"{why}; at most throttled: {honest:.0%} of it differs"
        verdict = Verdict(rung, score.total, score.rules, why, most)
        self.docket.apply(Plane.NETWORK, self.world.subnets.name(row), verdict, now)

    # Time

    def run_timer(self) -> None:
        """Run the timer that is due first: a decision lapses, or may climb."""
        at, target, decision = self.docket.take_timer()
        if self.crowd.is_wave(target):
            self.fleets.wave(target, at)
        elif decision is None and self.trials.is_wave(target):
            self.trials.wave(target, at)
        else:
            self.terms.run(at, target, decision)

    def _again(self, kind: Kind, row: int, now: float) -> None:
        """Judge an entity whose decision may change with time alone."""
        if kind is Kind.ACCOUNT:  # rows of other kinds are other numbers
            self.heard.pop(row, None)
        self.assess(kind, row, now)

    def _end(self, decision: Decision, op: Op, now: float) -> None:
        self.docket.end(decision, op, now)
        self.cordons.drop(decision.target)
        row = self.world.clients.rows.get(decision.target)
        if decision.plane is Plane.NETWORK and row is not None:
            self.neighbours.discard(row)

    def lift(self, decisions: Iterable[Decision], now: float, *, forgive: bool) -> None:
        """Lift decisions; `forgive` also forgets the evidence, so that they do not come back."""
        for decision in list(decisions):
            kind, row = self.roll.locate(decision)
            if forgive and row is not None:
                self.cases.forgive(kind, row)
                if kind is Kind.ACCOUNT:
                    self.crowd.release(row)
                    if decision.origin is Origin.TRIAL:
                        self.trials.release(row)
                if kind is Kind.CLIENT:
                    self.settled[row] = now
            self._end(decision, Op.LIFT, now)
            if forgive:
                self.docket.book.pardon(decision)

    def sweep(self, now: float) -> None:
        """Forget what has faded."""
        self.cases.sweep(self.docket.ladder, now)
        self.heard = {row: at for row, at in self.heard.items() if now < at}
        self.judged = {k: at for k, at in self.judged.items() if now < at + RECHECK_S}
        self.neighbours.clear_caches()

    def forget_rows(self, kind: Kind, rows: Rows) -> None:
        """Drop what is kept of rows that the world has forgotten."""
        self.cases.forget_rows(kind, rows)
        for row in rows.tolist():
            self.judged.pop((kind, row), None)
            if kind is Kind.ACCOUNT:
                self.heard.pop(row, None)
        if kind is Kind.CLIENT:
            self.settled[rows] = 0.0
            self.watch.due[rows] = np.inf
        elif kind is Kind.ACCOUNT:
            self.crowd.forget_accounts(rows)
            self.trials.forget_accounts(rows)

    def configure(self, settings: Settings, now: float) -> None:
        """Take over changed settings."""
        self.docket.configure(settings)
        self.cases.policy = self.neighbours.policy = settings.policy
        self.neighbours.limits = settings.governor
        self.tenants.configure(settings.tenants)
        self.trials.configure(settings.trials, now)

    def adopt(
        self, decisions: Iterable[Decision], strikes: dict[tuple[str, str], int], now: float
    ) -> None:
        """Replace all decisions by stored ones."""
        stored = list(decisions)
        self.docket.adopt(stored, strikes, now)
        self.crowd.remind()
        self.trials.adopt(now)
        self.cordons.adopt(stored, now)

    def step_back(self, seconds: float) -> None:
        """Follow a clock that was set back."""
        self.docket.step_back(seconds)
        self.cases.step_back(seconds)
        self.crowd.step_back(seconds)
        self.trials.step_back(seconds)
        self.neighbours.clear_caches()
        self.heard.clear()
        self.judged.clear()
        self.cordons.step_back(seconds)
        self.settled[self.settled > 0] -= seconds
        self.watch.due -= seconds
