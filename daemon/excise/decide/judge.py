"""The judge: evidence on entities becomes verdicts on targets.

A client is judged on the network plane and its culprits on the account plane; a use through its
account and its clients; a subnet where its members act alike; a prefix around guilty clients.
Nothing here looks at a record: time comes in as `now`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from excise.decide.book import Verdict
from excise.decide.bounds import Bounds
from excise.decide.cases import Cases, Seen
from excise.decide.crowd import Crowd
from excise.decide.docket import Docket
from excise.decide.fleets import Fleets
from excise.decide.guard import parse_network
from excise.decide.ladder import MILDEST, NOTHING, OBSERVE
from excise.decide.neighbours import Neighbours
from excise.decide.prefixes import Prefix
from excise.decide.tenants import Tenants
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
#: how often it is looked again who lives in a prefix under decision
REVIEW_S = 300.0
#: an account keeps its good name while this share of its requests comes through honest uses
OWNER_SHARE = 0.01


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
        self.bounds = Bounds(world, self.cases, self.docket)
        self.watch = Watch(world, self.cases)
        self.fleets = Fleets(world, self.crowd, self.settled, SETTLED_S)
        self.fleets.connect(self._assess_member, self._assess_client, self._end)
        self.trials = Trials(world, self.crowd, settings.trials)
        self.trials.connect(self._assess_account, self._end)
        self.heard: dict[int, float] = {}
        self.judged: dict[tuple[Kind, int], float] = {}
        self._prefixes: dict[str, Prefix] = {}
        self._texts: dict[Prefix, str] = {}
        self._reviews: dict[str, float] = {}

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
            self._assess_account(row, now)
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
        if rung >= MILDEST and self._judge_prefix(row, now):
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

    def _assess_member(self, row: int, now: float) -> None:
        """Judge an account of a campaign, even one that was denied before for its own sake."""
        self.heard.pop(row, None)
        self._assess_account(row, now)

    def _assess_use(self, row: int, now: float) -> None:
        self._assess_account(self.world.use_owner(row), now)
        if not self.cases.warm(row, self.docket.ladder, now):
            return  # who uses it from now on is judged at each one's next record
        for client in self.cases.clients_of(row):
            if self.settled[client] <= now:
                self._assess_client(client, now)

    # Subnets and prefixes

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
            if alike < policy.subnet_members or honest > self._most_honest():
                # Too many others for the subnet as a whole: its members are met one by one.
                self.cases.hot_subnet[row] = alike >= policy.subnet_members
                rung = most = OBSERVE
                why = f"{why}; {alike} members act alike, {honest:.0%} do not"
            elif honest > policy.collateral_soften:
                most = self.docket.ladder.top - 1
                rung, why = min(rung, most), f"{why}; at most throttled: {honest:.0%} of it differs"
        verdict = Verdict(rung, score.total, score.rules, why, most)
        self.docket.apply(Plane.NETWORK, self.world.subnets.name(row), verdict, now)

    def _judge_prefix(self, row: int, now: float) -> bool:
        """Count a client as guilty; True if a prefix around it is, or comes, under decision."""
        self.neighbours.add(row)
        if self._inside(row, now):
            return True
        prefix = self.neighbours.narrowest(row, now)
        if prefix is None or self.docket.guard.covering(parse_network(prefix.text), now):
            return False
        score = self.neighbours.score(prefix, now)
        rung = self.cases.rung(self.docket.ladder, score, now)
        if rung < MILDEST:
            return False
        members = len(self.neighbours.guilty.members[prefix])
        why = f"{members} guilty clients in {prefix.text}: {reason(score)}"
        self._prefixes[prefix.text] = prefix
        self._texts[prefix] = prefix.text
        if prefix.text not in self._reviews:
            self._review_at(prefix.text, now)
        most = self._highest(prefix)
        if self.neighbours.only_inherits(prefix):
            why += "; throttled, not dropped: none of its clients has evidence of its own"
        campaign = self.fleets.campaign_of(score, self.cases.campaigns_of_client(row))
        verdict = Verdict(min(rung, most), score.total, score.rules, why, most, campaign)
        self.docket.apply(Plane.NETWORK, prefix.text, verdict, now)
        return True

    def _inside(self, row: int, now: float) -> bool:
        """Whether a client is under a prefix that is at the top for a while yet; settles it."""
        for prefix in self.neighbours.around(row):
            text = self._texts.get(prefix)
            decision = None if text is None else self.docket.book.get(Plane.NETWORK, text)
            if decision is None or decision.wanted < self._highest(prefix):
                continue
            if decision.until - now > self.docket.half_ttl_s(decision):
                self._settle(row, decision)
                return True
        return False

    def _highest(self, prefix: Prefix) -> int:
        """Return the highest rung for a prefix: one that only inherits is throttled."""
        return self.docket.ladder.top - self.neighbours.only_inherits(prefix)

    # Time

    def run_timer(self) -> None:
        """Run the timer that is due first: a decision lapses, or may climb."""
        at, target, decision = self.docket.take_timer()
        if self.crowd.is_wave(target):
            self.fleets.wave(target, at)
            return
        if decision is None and self.trials.is_wave(target):
            self.trials.wave(target, at)
            return
        if decision is None:
            self._reviews.pop(target, None)
            return
        if self._reviews.get(target) == at:
            self._review(decision, at)
        elif decision.until > at:
            if at == self.docket.climbs_at(decision):  # else: the end it had before a renewal
                self._reassess(decision, at)
        elif decision.origin is Origin.RULES and self._still(decision, at):
            self.docket.keep(decision, at)
        else:
            self._end(decision, Op.EXPIRE, at)
            if decision.origin is Origin.RULES and decision.wanted >= self.docket.ladder.top:
                self._soften(decision, at)

    def _soften(self, decision: Decision, now: float) -> None:
        """Throttle a client whose drop lapsed only for doubt about who else lives there.

        Without this its next request would pass free, and the one after a renewal again.
        """
        kind, row = self.locate(decision)
        if kind is Kind.CLIENT and row is not None:
            most, _ = self.bounds.client(row, self.cases.collateral(row), now)
            stands = self.cases.client_score(row, now).total >= self.docket.least(decision)
            if stands and most >= MILDEST:
                self._assess_client(row, now)

    def _review_at(self, target: str, now: float) -> None:
        self._reviews[target] = now + REVIEW_S
        self.docket.remind(now + REVIEW_S, Plane.NETWORK, target)

    def _review(self, decision: Decision, now: float) -> None:
        """Look again who else lives in a prefix: newcomers must not wait until it lapses."""
        prefix = self._prefixes.get(decision.target)
        if prefix is None:
            self._reviews.pop(decision.target)
        elif self.neighbours.honest(prefix, now) > self._most_honest():
            self._end(decision, Op.LIFT, now)
        else:
            self._review_at(decision.target, now)

    def _reassess(self, decision: Decision, now: float) -> None:
        prefix = self._prefixes.get(decision.target)
        kind, row = self.locate(decision)
        if prefix is not None:
            score = self.neighbours.score(prefix, now)
            rung = self.cases.rung(self.docket.ladder, score, now)
            most = self._highest(prefix)
            verdict = Verdict(
                min(rung, most), score.total, score.rules, decision.reason, most, decision.campaign
            )
            self.docket.apply(Plane.NETWORK, decision.target, verdict, now)
        elif row is not None:
            if kind is Kind.ACCOUNT:  # rows of other kinds are other numbers
                self.heard.pop(row, None)
            self.assess(kind, row, now)

    def _still(self, decision: Decision, now: float) -> bool:
        """Whether a decision that lapses still rests on enough evidence to go on."""
        prefix = self._prefixes.get(decision.target)
        kind, row = self.locate(decision)
        if prefix is not None:
            spoilt = self.neighbours.honest(prefix, now) > self._most_honest()
            total = 0.0 if spoilt else self.neighbours.score(prefix, now).total
        elif row is None or self._spared(kind, row, decision, now):
            return False
        else:
            total = self.cases.score(kind, row, now).total
        return total >= max(self.docket.least(decision), 1.0)

    def _spared(self, kind: Kind, row: int, decision: Decision, now: float) -> bool:
        """Whether the honest behind a target have become too many for its decision."""
        if decision.wanted < MILDEST:
            return False
        if kind is Kind.CLIENT:
            most, _ = self.bounds.client(row, self.cases.collateral(row), now)
            return decision.wanted > most
        if kind is Kind.SUBNET:
            return self.neighbours.alike(row, now)[1] > self._most_honest()
        return self.cases.honest_uses(row, now) >= OWNER_SHARE

    def _most_honest(self) -> float:
        return 1.0 - self.docket.settings.policy.subnet_guilty

    def locate(self, decision: Decision) -> tuple[Kind, int | None]:
        """Return the entity that a decision's target is, if it has a row."""
        if decision.plane is Plane.ACCOUNT:
            return Kind.ACCOUNT, self.world.accounts.rows.get(decision.target)
        row = self.world.clients.rows.get(decision.target)
        if row is not None:
            return Kind.CLIENT, row
        return Kind.SUBNET, self.world.subnets.rows.get(decision.target)

    def suspects(self) -> dict[Kind, Rows]:
        """Return rows by kind that are enforced, and so say nothing about what is usual."""
        found: dict[Kind, set[int]] = {Kind.CLIENT: set(), Kind.ACCOUNT: set()}
        found[Kind.ACCOUNT].update(self.crowd.held().tolist())
        for decision in self.docket.book.active.values():
            kind, row = self.locate(decision)
            if decision.enforcing and row is not None and kind in found:
                found[kind].add(row)
        found[Kind.USE] = {u for a in found[Kind.ACCOUNT] for u in self.world.uses_of(a)}
        return {kind: np.array(sorted(rows), dtype=np.int64) for kind, rows in found.items()}

    def held(self, kind: Kind) -> Rows:
        """Return rows under evidence or a decision, which should be forgotten last."""
        rows = set(self.cases.dossiers[kind])
        located = map(self.locate, self.docket.book.active.values())
        rows |= {row for of, row in located if of is kind and row is not None}
        if kind is Kind.ACCOUNT:
            rows.update(self.crowd.held().tolist())
            rows.update(self.trials.held().tolist())
        return np.array(sorted(rows), dtype=np.int64)

    def _end(self, decision: Decision, op: Op, now: float) -> None:
        self.docket.end(decision, op, now)
        prefix = self._prefixes.pop(decision.target, None)
        if prefix is not None:
            del self._texts[prefix]
            self._reviews.pop(decision.target, None)
        row = self.world.clients.rows.get(decision.target)
        if decision.plane is Plane.NETWORK and row is not None:
            self.neighbours.discard(row)

    def lift(self, decisions: Iterable[Decision], now: float, *, forgive: bool) -> None:
        """Lift decisions; `forgive` also forgets the evidence, so that they do not come back."""
        for decision in list(decisions):
            kind, row = self.locate(decision)
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
        self._prefixes.clear()
        self._texts.clear()
        self._reviews.clear()
        for decision in stored:
            if decision.plane is Plane.NETWORK:
                self._adopt_prefix(decision.target, now)

    def _adopt_prefix(self, target: str, now: float) -> None:
        network = parse_network(target)
        bits = int(network.network_address) >> (0 if network.version == 4 else 64)
        prefix = Prefix(network.version, bits, network.prefixlen)
        members = self.neighbours.guilty.members.get(prefix, ())
        if len(members) >= self.docket.settings.policy.subnet_members:
            self._prefixes[target] = prefix
            self._texts[prefix] = target
            self._review_at(target, now)

    def step_back(self, seconds: float) -> None:
        """Follow a clock that was set back."""
        self.docket.step_back(seconds)
        self.cases.step_back(seconds)
        self.crowd.step_back(seconds)
        self.trials.step_back(seconds)
        self.neighbours.clear_caches()
        self.heard.clear()
        self.judged.clear()
        self._reviews = {target: at - seconds for target, at in self._reviews.items()}
        self.settled[self.settled > 0] -= seconds
        self.watch.due -= seconds
