"""The judge: evidence on entities becomes decisions on targets.

Reads the world (features' state), owns dossiers, and writes only to the book. A client answers
for its own evidence and for the uses that it carries; an account for its own, for its uses', and
for that of clients which it drives; a prefix for its guilty members, or for a subnet's evidence
where its members act alike. Nothing here looks at a record: time comes in as `now`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from excise.decide.book import Book, Verdict
from excise.decide.collateral import Collateral, Party, behind
from excise.decide.governor import Brake
from excise.decide.guard import Guard, parse_network
from excise.decide.ladder import MILDEST, NOTHING, OBSERVE, Ladder
from excise.decide.prefixes import Guilty, Prefix, cut
from excise.decide.score import Dossier, Evidence, Score, weigh
from excise.decide.words import reason
from excise.features.interner import Rows
from excise.features.links import OUTPUT
from excise.features.world import World
from excise.model.decision import Decision, Op, Origin, Plane, Posture
from excise.model.entity import Entity, Kind
from excise.model.settings import Settings
from excise.model.step import Alarm, Effect, Finding
from excise.rules.schema import Rule

#: a client that was judged need not be judged again on inherited evidence for this long
SETTLED_S = 30.0
ACTIVE_S = 86_400.0
#: members of a subnet whose typical answer is within this many octaves of the subnet's act alike
ALIKE_OCTAVES = 1.5
#: a request's client must be the socket's peer in at least this share of its traffic
DIRECT_SHARE = 0.5
#: an account keeps its good name while this share of its requests comes through honest uses
OWNER_SHARE = 0.05
MEMBERS_READ = 64
PREFIX_SCORE_S = 60.0


class Judge:
    """Owns dossiers, guilt and timers; holds the book, the guard and the brake."""

    def __init__(self, settings: Settings, world: World) -> None:
        self.settings, self.world = settings, world
        self.posture = settings.posture
        self.ladder = Ladder(settings.policy, settings.tiers)
        self.book = Book(self.ladder)
        self.guard = Guard(settings.never_block, settings.trusted_proxies)
        self.brake = Brake(settings.governor)
        self.dossiers: dict[Kind, dict[int, Dossier]] = {kind: {} for kind in Kind}
        self.guilty = Guilty()
        self.hot_use = np.zeros(world.tables[Kind.USE].capacity, dtype=bool)
        self.settled = np.zeros(world.tables[Kind.CLIENT].capacity)
        self._filed = np.zeros(world.tables[Kind.CLIENT].capacity, dtype=bool)
        self._prefixes: dict[str, Prefix] = {}
        self._texts: dict[Prefix, str] = {}
        self._prefix_scores: dict[Prefix, tuple[float, Score]] = {}
        self._prefix_honest: dict[Prefix, tuple[float, float]] = {}
        self._timers: list[tuple[float, int, Plane, str]] = []
        self._serial = 0
        self._out: list[Effect] = []

    # Inputs from the engine

    @property
    def effective(self) -> Posture:
        """The posture in force: observe while the governor is tripped."""
        return Posture.OBSERVE if self.brake.tripped else self.posture

    def held(self, kind: Kind) -> Rows:
        """Return rows that should be forgotten last."""
        rows = list(self.dossiers.get(kind, ()))
        return np.array(rows, dtype=np.int64)

    def drain(self) -> list[Effect]:
        """Return and forget what was decided since the last call."""
        out, self._out = self._out, []
        return out

    def next_timer(self) -> float:
        """Return when the next timer is due, infinity if none is."""
        return self._timers[0][0] if self._timers else float("inf")

    def hit(
        self,
        kind: Kind,
        row: int,
        rule: Rule,
        now: float,
        seen: tuple[tuple[str, float, float], ...],
    ) -> None:
        """Take note that a rule fired for an entity."""
        name = self.world.name(kind, row)
        if _exempt(rule, kind, name):
            return
        dossier = self.dossiers[kind].setdefault(row, Dossier())
        if kind is Kind.CLIENT:
            self._filed[row] = True
        before = dossier.evidence.get(rule.id)
        dossier.evidence[rule.id] = Evidence(rule, now, seen)
        if before is None or now - before.fired > rule.half_life_s:
            self._out.append(Finding(now, rule.id, Entity(kind, name), rule.weight, seen))

    def assess(self, kind: Kind, row: int, now: float) -> None:
        """Judge an entity, and those who answer for it."""
        if kind is Kind.CLIENT:
            self.assess_client(row, now)
        elif kind is Kind.ACCOUNT:
            self._assess_account(row, now)
        elif kind is Kind.USE:
            self._assess_use(row, now)
        elif kind is Kind.SUBNET:
            self._assess_subnet(row, now)
        # Stacks and templates are context: what they show is explained, never enforced alone.

    def raise_alarm(self, alarm: Alarm) -> None:
        """Put an alarm among the effects."""
        self._out.append(alarm)

    # Scores

    def client_score(self, row: int, now: float) -> Score:
        """Score a client: its own evidence, and that of the hot uses it carries."""
        parts = [(d, 1.0)] if (d := self.dossiers[Kind.CLIENT].get(row)) else []
        if self.dossiers[Kind.USE]:
            links = self.world.links.of_client(row)
            output = self.world.links.sums[links, OUTPUT]
            total = float(output.sum())
            for link, out in zip(links.tolist(), output.tolist(), strict=True):
                use = int(self.world.links.use[link])
                if use in self.dossiers[Kind.USE]:
                    share = out / total if total else 1.0
                    parts.append((self.dossiers[Kind.USE][use], share))
        return weigh(parts, now, self.settings.policy.family_cap)

    def account_score(self, row: int, now: float) -> Score:
        """Score an account: own evidence, its uses', and that of clients it drives."""
        parts = [(d, 1.0)] if (d := self.dossiers[Kind.ACCOUNT].get(row)) else []
        total = float(self.world.decayed("output_tokens_24h", Kind.ACCOUNT, _one(row), now)[0])
        for use in self.world.uses_of(row):
            output = self.world.decayed("output_tokens_24h", Kind.USE, _one(use), now)
            share = min(1.0, float(output[0]) / total) if total else 1.0
            if use in self.dossiers[Kind.USE]:
                parts.append((self.dossiers[Kind.USE][use], share))
            parts += self._driven(use, total, now)
        return weigh(parts, now, self.settings.policy.family_cap)

    def _driven(self, use: int, account_total: float, now: float) -> list[tuple[Dossier, float]]:
        """Return dossiers of clients of which a use is a culprit, with their share of it."""
        links = self.world.links
        fade = self.world.fade(now)
        out = []
        rows = links.of_use(use)
        for link in rows[self._filed[links.client[rows]]].tolist():
            client = int(links.client[link])
            dossier = self.dossiers[Kind.CLIENT][client]
            if use not in self.collateral(client).culprits:
                continue
            share = links.sums[link, OUTPUT] * fade / account_total if account_total else 1.0
            out.append((dossier, min(1.0, float(share))))
        return out

    def collateral(self, client: int) -> Collateral:
        """Return who stands behind a client. Shares need no time: all links fade alike."""
        links = self.world.links.of_client(client)
        uses = self.world.links.use[links]
        output = self.world.links.sums[links, OUTPUT]
        return behind(
            [
                Party(int(u), float(o), int(u) in self.dossiers[Kind.USE])
                for u, o in zip(uses, output, strict=True)
            ]
        )

    # Judging

    def _rung(self, score: Score, now: float) -> int:
        """Return the rung of a score; experimental evidence can lift it to observe."""
        if score.refused(now):
            return self.ladder.top
        rung = self.ladder.rung(score.total, score.families)
        hinted = score.total + score.hint >= self.settings.policy.observe
        return max(rung, OBSERVE) if hinted else rung

    def assess_client(self, row: int, now: float) -> None:
        """Judge a client on the network plane, its culprits on the account plane."""
        self.settled[row] = now + SETTLED_S
        score = self.client_score(row, now)
        rung = self._rung(score, now)
        if rung == NOTHING:
            return
        name = self.world.clients.name(row)
        why = reason(score)
        if rung >= MILDEST:
            behind_it = self.collateral(row)
            if self._filed[row]:
                for use in behind_it.culprits:
                    self._assess_account(self.world.use_owner(use), now)
            rung, why = self._soften(row, rung, behind_it, why, now)
        verdict = Verdict(rung, score.total, score.rules, why)
        if rung >= MILDEST and self._judge_prefix(row, now):
            return
        self._apply(Plane.NETWORK, name, verdict, now)
        decision = self.book.get(Plane.NETWORK, name)
        if decision is not None and decision.wanted >= rung:
            half = self.ladder.ttl_s(decision.wanted, decision.strikes) / 2
            self.settled[row] = max(self.settled[row], decision.until - half)

    def _soften(
        self, row: int, rung: int, behind_it: Collateral, why: str, now: float
    ) -> tuple[int, str]:
        """Hold a client's rung down where the network plane would hit others, or cannot bite."""
        policy = self.settings.policy
        requests = self.world.decayed("requests_24h", Kind.CLIENT, _one(row), now)[0]
        direct = self.world.decayed("direct_24h", Kind.CLIENT, _one(row), now)[0]
        if direct < DIRECT_SHARE * requests:
            return OBSERVE, f"{why}; not the socket's peer, so left to the account plane"
        if behind_it.share > policy.collateral_veto:
            return OBSERVE, (
                f"{why}; spared on the network: {behind_it.honest} honest accounts "
                f"({behind_it.share:.0%}) share the address"
            )
        if behind_it.share > policy.collateral_soften and rung >= self.ladder.top:
            return self.ladder.top - 1, (
                f"{why}; throttled, not dropped: {behind_it.honest} honest accounts "
                f"({behind_it.share:.0%}) share the address"
            )
        return rung, why

    def _assess_account(self, row: int, now: float) -> None:
        if row == 0:
            return
        score = self.account_score(row, now)
        rung = self._rung(score, now)
        why = reason(score)
        if rung >= MILDEST and (others := self._honest_uses(row, now)) >= OWNER_SHARE:
            rung = OBSERVE
            why += f"; spared: {others:.0%} of its requests come through programs of good standing"
        if rung:
            verdict = Verdict(rung, score.total, score.rules, why)
            self._apply(Plane.ACCOUNT, self.world.accounts.name(row), verdict, now)

    def _honest_uses(self, account: int, now: float) -> float:
        """Return the share of an account's requests through uses that nothing speaks against.

        A stolen key has its owner's use beside the thief's; the owner keeps the account while
        the thief's clients are met on the network. A use from the guilty ones' own addresses is
        no owner's: changing the user agent buys nothing.
        """
        uses = self.world.uses_of(account)
        of = {use: set(self._clients_of(use)) for use in uses}
        bad = {u for u in uses if u in self.dossiers[Kind.USE] or self._driven(u, 1.0, now)}
        tainted = set().union(*(of[u] for u in bad))
        honest = [u for u in uses if u not in bad and len(of[u] & tainted) * 2 <= len(of[u])]
        requests = self.world.decayed("requests_24h", Kind.USE, np.array(uses), now)
        ours = np.isin(np.array(uses), np.array(honest, dtype=np.int64))
        return float(requests[ours].sum() / requests.sum()) if requests.sum() else 0.0

    def _clients_of(self, use: int) -> list[int]:
        rows = self.world.links.of_use(use)
        clients: list[int] = self.world.links.client[rows].tolist()
        return clients

    def _assess_use(self, row: int, now: float) -> None:
        owner = self.world.use_owner(row)
        self._assess_account(owner, now)
        cold = not self.hot_use[row]
        self._warm(row, now)
        if not (cold and self.hot_use[row]):
            return  # who uses it from now on is judged at each one's next record
        for link in self.world.links.of_use(row).tolist():
            client = int(self.world.links.client[link])
            if self.settled[client] <= now:
                self.assess_client(client, now)

    def _warm(self, row: int, now: float) -> None:
        """Note whether a use is so hot that its clients answer for it."""
        dossier = self.dossiers[Kind.USE].get(row)
        hot = False
        if dossier is not None:
            score = weigh([(dossier, 1.0)], now, self.settings.policy.family_cap)
            hot = self._rung(score, now) >= MILDEST
        self.hot_use[row] = hot

    def warm_all(self, now: float) -> None:
        """Find out anew which clients have evidence and which uses are hot."""
        self._filed[:] = False
        self._filed[list(self.dossiers[Kind.CLIENT])] = True
        for row in self.dossiers[Kind.USE]:
            self._warm(row, now)

    def _assess_subnet(self, row: int, now: float) -> None:
        """Judge a subnet as a whole where its members act alike."""
        dossier = self.dossiers[Kind.SUBNET].get(row)
        if dossier is None:
            return
        score = weigh([(dossier, 1.0)], now, self.settings.policy.family_cap)
        rung = self._rung(score, now)
        alike, honest = self._alike(row, now)
        why = reason(score)
        if rung >= MILDEST and (
            alike < self.settings.policy.subnet_members
            or honest > 1.0 - self.settings.policy.subnet_guilty
        ):
            rung, why = OBSERVE, f"{why}; {alike} members act alike, {honest:.0%} do not"
        elif rung >= self.ladder.top and honest > self.settings.policy.collateral_soften:
            rung, why = self.ladder.top - 1, f"{why}; throttled, not dropped: {honest:.0%} differ"
        if rung:
            name = self.world.subnets.name(row)
            self._apply(Plane.NETWORK, name, Verdict(rung, score.total, score.rules, why), now)

    def _alike(self, row: int, now: float) -> tuple[int, float]:
        """Return how many members of a subnet act like its bulk, and the share that does not.

        The share is the worse of members and output tokens.
        """
        world = self.world
        table = world.tables[Kind.CLIENT]
        members = np.flatnonzero(((world.near == row) | (world.wide == row)) & (table.last > 0))
        members = members[table.last[members] > now - ACTIVE_S]
        n = np.maximum(world.decayed("llm_requests_24h", Kind.CLIENT, members, now), 1e-9)
        typical = world.decayed("log_output", Kind.CLIENT, members, now) / n
        output = world.decayed("output_tokens_24h", Kind.CLIENT, members, now)
        whole = float(np.average(typical, weights=output)) if output.sum() else 0.0
        alike = (np.abs(typical - whole) <= ALIKE_OCTAVES) & (n > 1e-6)
        others = 1.0 - float(alike.mean()) if len(members) else 1.0
        tokens = float(output[~alike].sum() / output.sum()) if output.sum() else 1.0
        return int(alike.sum()), max(others, tokens)

    # Prefixes

    def _judge_prefix(self, row: int, now: float) -> bool:
        """Count a client as guilty; True if a prefix around it is, or comes, under decision."""
        version, bits = int(self.world.version[row]), int(self.world.network[row])
        limits = self.settings.governor
        self.guilty.add(version, bits, limits)
        if self._inside(row, version, bits, now):
            return True
        prefix = self.guilty.narrowest(
            version, bits, self.settings.policy, limits, lambda p: self._honest(p, now)
        )
        if prefix is None:
            return False
        covering = self.guard.covering(parse_network(prefix.text), now)
        if covering is not None:
            return False
        self.settled[row] = now + SETTLED_S
        score = self._prefix_score(prefix, now)
        rung = self.ladder.rung(score.total, score.families)
        if rung < MILDEST:
            return False
        members = len(self.guilty.members[prefix])
        why = f"{members} guilty clients in {prefix.text}: {reason(score)}"
        self._prefixes[prefix.text] = prefix
        self._texts[prefix] = prefix.text
        self._apply(Plane.NETWORK, prefix.text, Verdict(rung, score.total, score.rules, why), now)
        return self.book.get(Plane.NETWORK, prefix.text) is not None

    def _inside(self, row: int, version: int, bits: int, now: float) -> bool:
        """Whether a client is under a prefix that is dropped for good while yet; settles it."""
        for length in self.guilty.lengths(version, self.settings.governor):
            text = self._texts.get(cut(version, bits, length))
            decision = None if text is None else self.book.get(Plane.NETWORK, text)
            if decision is not None and decision.wanted == self.ladder.top:
                half = self.ladder.ttl_s(decision.wanted, decision.strikes) / 2
                if decision.until - now > half:
                    self.settled[row] = decision.until - half
                    return True
        return False

    def _prefix_score(self, prefix: Prefix, now: float) -> Score:
        """Score a prefix as the mean of its guilty members (the first `MEMBERS_READ` by address).

        Kept for a minute: a walk through a block brings a member a second.
        """
        at, kept = self._prefix_scores.get(prefix, (0.0, Score({}, ())))
        if now - at >= PREFIX_SCORE_S or not kept.points:
            kept = self._mean_score(prefix, now)
            self._prefix_scores[prefix] = now, kept
        return kept

    def _mean_score(self, prefix: Prefix, now: float) -> Score:
        scores = []
        for bits in sorted(self.guilty.members.get(prefix, ()))[:MEMBERS_READ]:
            name = Prefix(prefix.version, bits, 32 if prefix.version == 4 else 64).text
            row = self.world.clients.rows.get(name)
            if row is not None:
                scores.append(self.client_score(row, now))
        if not scores:
            return Score({}, ())
        families = {f for s in scores for f in s.points}
        mean = {f: sum(s.points.get(f, 0.0) for s in scores) / len(scores) for f in families}
        strongest = max(scores, key=lambda s: s.total)
        return replace(strongest, points=mean, hint=0.0)

    def _honest(self, prefix: Prefix, now: float) -> float:
        """Return the share of a prefix's clients, or of its output, that is not guilty.

        Kept for a minute, like a prefix's score.
        """
        at, kept = self._prefix_honest.get(prefix, (0.0, 1.0))
        if now - at >= PREFIX_SCORE_S:
            kept = self._count_honest(prefix, now)
            self._prefix_honest[prefix] = now, kept
        return kept

    def _count_honest(self, prefix: Prefix, now: float) -> float:
        world = self.world
        table = world.tables[Kind.CLIENT]
        shift = np.uint64((32 if prefix.version == 4 else 64) - prefix.length)
        inside = (world.version == prefix.version) & (
            world.network >> shift == np.uint64(prefix.bits) >> shift
        )
        rows = np.flatnonzero(inside & (table.last > now - ACTIVE_S))
        members = np.fromiter(self.guilty.members[prefix], dtype=np.uint64)
        honest = ~np.isin(world.network[rows], members)
        if not len(rows):
            return 0.0
        output = world.decayed("output_tokens_24h", Kind.CLIENT, rows, now)
        tokens = float(output[honest].sum() / output.sum()) if output.sum() else 0.0
        return max(float(honest.mean()), tokens)

    # The book

    def _apply(self, plane: Plane, target: str, verdict: Verdict, now: float) -> None:
        """Bring the decision on a target to a verdict, one rung and one dwell at a time."""
        old = self.book.get(plane, target)
        if old is not None and old.origin is Origin.OPERATOR:
            return
        if plane is Plane.NETWORK and self.guard.covering(parse_network(target), now):
            return
        if old is None:
            first = min(verdict.rung, MILDEST)
            self._set(plane, target, replace(verdict, rung=first), now)
            if verdict.rung > first:
                self._timer(now + self.settings.policy.dwell_s, plane, target)
        elif verdict.rung > old.wanted:
            ready = old.since + (self.settings.policy.dwell_s if old.wanted >= MILDEST else 0.0)
            if now < ready:
                self._timer(ready, plane, target)
            else:
                rung = verdict.rung if old.wanted >= MILDEST else MILDEST
                self._set(plane, target, replace(verdict, rung=rung), now)
                if verdict.rung > rung:
                    self._timer(now + self.settings.policy.dwell_s, plane, target)
        elif old.until - now < self.ladder.ttl_s(old.wanted, old.strikes) / 2:
            if verdict.score >= self.settings.policy.keep * self.ladder.threshold(old.wanted):
                self._set(plane, target, replace(verdict, rung=old.wanted), now)

    def _set(self, plane: Plane, target: str, verdict: Verdict, now: float) -> None:
        old = self.book.get(plane, target)
        fresh = verdict.rung >= MILDEST and (old is None or not old.enforcing)
        if fresh and self.effective is not Posture.OBSERVE:
            enforced, active = self._active_clients(now)
            if why := self.brake.check(now, enforced, active):
                self._trip(why, now)
            else:
                self.brake.count(now)
        event = self.book.set(plane, target, verdict, self.effective, now)
        self._timer(event.decision.until, plane, target)
        self._out.append(event)

    def _trip(self, why: str, now: float) -> None:
        text = f"{why}; enforcement is suspended until an operator sets the posture again"
        self._out.append(Alarm(now, "governor-tripped", text))
        self._out += self._repose(now)

    def _repose(self, now: float) -> list[Effect]:
        return list(self.book.repose(self.effective, now))

    def _active_clients(self, now: float) -> tuple[int, int]:
        """Return how many clients active within the hour are enforced, and how many there are."""
        last = self.world.tables[Kind.CLIENT].last
        rows = (
            self.world.clients.rows.get(d.target)
            for d in self.book.active.values()
            if d.plane is Plane.NETWORK and d.enforcing
        )
        since = now - 3600.0
        enforced = sum(row is not None and last[row] > since for row in rows)
        return enforced, int(np.count_nonzero(last > since))

    def _timer(self, at: float, plane: Plane, target: str) -> None:
        self._serial += 1
        heapq.heappush(self._timers, (at, self._serial, plane, target))

    def run_timer(self) -> None:
        """Run the timer that is due first: a decision lapses, or may climb."""
        at, _, plane, target = heapq.heappop(self._timers)
        decision = self.book.get(plane, target)
        if decision is None:
            return
        if decision.until > at:
            self._reassess(decision, at)
        elif decision.origin is Origin.RULES and self._still(decision, at):
            verdict = Verdict(decision.wanted, decision.score, decision.rules, decision.reason)
            self._set(plane, target, verdict, at)
        else:
            self._end(decision, Op.EXPIRE, at)

    def _reassess(self, decision: Decision, now: float) -> None:
        kind, row = self.locate(decision)
        if row is not None and kind is Kind.CLIENT:
            self.assess_client(row, now)
        elif row is not None:
            self.assess(kind, row, now)
        elif decision.target in self._prefixes:
            prefix = self._prefixes[decision.target]
            score = self._prefix_score(prefix, now)
            rung = self.ladder.rung(score.total, score.families)
            verdict = Verdict(rung, score.total, score.rules, decision.reason)
            self._apply(Plane.NETWORK, decision.target, verdict, now)

    def _still(self, decision: Decision, now: float) -> bool:
        """Whether a decision that lapses still rests on enough evidence to go on."""
        kind, row = self.locate(decision)
        if decision.target in self._prefixes:
            score = self._prefix_score(self._prefixes[decision.target], now)
        elif row is None:
            return False
        elif kind is Kind.CLIENT:
            score = self.client_score(row, now)
        elif kind is Kind.ACCOUNT:
            score = self.account_score(row, now)
        else:
            dossier = self.dossiers[kind].get(row, Dossier())
            score = weigh([(dossier, 1.0)], now, self.settings.policy.family_cap)
        least = self.settings.policy.keep * self.ladder.threshold(decision.wanted)
        return score.total >= max(least, 1.0)

    def locate(self, decision: Decision) -> tuple[Kind, int | None]:
        """Return the entity that a decision's target is, if it has a row."""
        if decision.plane is Plane.ACCOUNT:
            return Kind.ACCOUNT, self.world.accounts.rows.get(decision.target)
        row = self.world.clients.rows.get(decision.target)
        if row is not None:
            return Kind.CLIENT, row
        return Kind.SUBNET, self.world.subnets.rows.get(decision.target)

    def _end(self, decision: Decision, op: Op, now: float) -> None:
        key = decision.plane, decision.target
        self._out.append(self.book.end(key, op, now))
        prefix = self._prefixes.pop(decision.target, None)
        if prefix is not None:
            self._texts.pop(prefix, None)
        row = self.world.clients.rows.get(decision.target)
        if decision.plane is Plane.NETWORK and row is not None:
            version, bits = int(self.world.version[row]), int(self.world.network[row])
            self.guilty.discard(version, bits, self.settings.governor)

    # The operator

    def place(self, plane: Plane, target: str, verdict: Verdict, now: float, ttl_s: float) -> None:
        """Put the operator's decision in force, whatever the score and the posture say."""
        event = self.book.set(
            plane, target, verdict, Posture.ENFORCE, now, origin=Origin.OPERATOR, ttl_s=ttl_s
        )
        self._timer(event.decision.until, plane, target)
        self._out.append(event)

    def lift(self, decisions: Iterable[Decision], now: float, *, forgive: bool) -> None:
        """Lift decisions; `forgive` also forgets the evidence, so that they do not come back."""
        for decision in list(decisions):
            kind, row = self.locate(decision)
            if forgive and row is not None:
                self._forgive(kind, row)
            self._end(decision, Op.LIFT, now)

    def _forgive(self, kind: Kind, row: int) -> None:
        self.dossiers[kind].pop(row, None)
        if kind is Kind.CLIENT:
            self._filed[row] = False
        if kind is Kind.ACCOUNT:
            for use in self.world.uses_of(row):
                self.dossiers[Kind.USE].pop(use, None)
                self.hot_use[use] = False

    def set_posture(self, posture: Posture, now: float) -> None:
        """Change the posture and rearm the governor."""
        self.posture = posture
        self.brake.rearm()
        self._out += self._repose(now)

    # Housekeeping

    def configure(self, settings: Settings) -> None:
        """Take over changed settings; active decisions keep their rung."""
        self.settings = settings
        self.ladder = self.book.ladder = Ladder(settings.policy, settings.tiers)
        self.brake.limits = settings.governor
        self.guard.configure(settings.never_block, settings.trusted_proxies)

    def keep_rules(self, rules: dict[str, Rule]) -> None:
        """Drop evidence of rules that are gone; the rest is weighed by the new rules."""
        for dossiers in self.dossiers.values():
            for dossier in dossiers.values():
                dossier.evidence = {
                    i: replace(e, rule=rules[i]) for i, e in dossier.evidence.items() if i in rules
                }

    def adopt(self, decisions: Iterable[Decision], strikes: dict[tuple[str, str], int]) -> None:
        """Replace all decisions by stored ones."""
        self.book.adopt(decisions, strikes)
        self._timers.clear()
        self._prefixes.clear()
        self._texts.clear()
        self._out.clear()
        for decision in sorted(self.book.active.values(), key=lambda d: (d.plane, d.target)):
            self._timer(decision.until, decision.plane, decision.target)
            if decision.origin is Origin.RULES and MILDEST <= decision.wanted < self.ladder.top:
                at = decision.since + self.settings.policy.dwell_s
                self._timer(at, decision.plane, decision.target)
            if decision.plane is Plane.NETWORK:
                self._adopt_prefix(decision.target)

    def _adopt_prefix(self, target: str) -> None:
        network = parse_network(target)
        bits = int(network.network_address) >> (0 if network.version == 4 else 64)
        prefix = Prefix(network.version, bits, network.prefixlen)
        if len(self.guilty.members.get(prefix, ())) >= self.settings.policy.subnet_members:
            self._prefixes[target] = prefix
            self._texts[prefix] = target

    def step_back(self, seconds: float) -> None:
        """Follow a clock that was set back."""
        self.book.step_back(seconds)
        self._timers = [(at - seconds, n, p, t) for at, n, p, t in self._timers]
        self.settled[self.settled > 0] -= seconds
        for dossiers in self.dossiers.values():
            for dossier in dossiers.values():
                dossier.evidence = {
                    i: replace(e, fired=e.fired - seconds) for i, e in dossier.evidence.items()
                }

    def sweep(self, now: float) -> None:
        """Forget evidence that has faded, and guilt that rests on nothing."""
        for kind, dossiers in self.dossiers.items():
            for row in [r for r, d in dossiers.items() if d.prune(now)]:
                del dossiers[row]
                if kind is Kind.CLIENT:
                    self._filed[row] = False
        self._prefix_scores.clear()
        self._prefix_honest.clear()
        for row in np.flatnonzero(self.hot_use).tolist():
            self._warm(row, now)

    def forget_rows(self, kind: Kind, rows: Rows) -> None:
        """Drop dossiers of rows that the world has forgotten."""
        for row in rows.tolist():
            self.dossiers[kind].pop(row, None)
            if kind is Kind.USE:
                self.hot_use[row] = False
            elif kind is Kind.CLIENT:
                self.settled[row] = 0.0
                self._filed[row] = False


def _exempt(rule: Rule, kind: Kind, name: str) -> bool:
    """Whether an exception of a rule names the entity, itself or by a network around it."""
    names = {n for e in rule.exceptions for n in e.names}
    if not names:
        return False
    if name in names or kind not in (Kind.CLIENT, Kind.SUBNET):
        return name in names
    network = parse_network(name)
    inside = (parse_network(n) for n in names if ":" in n or n[:1].isdigit())
    return any(network.version == n.version and network.subnet_of(n) for n in inside)  # type: ignore[arg-type]  # same version


def _one(row: int) -> Rows:
    return np.array([row], dtype=np.int64)
