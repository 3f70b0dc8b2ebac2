"""Cordons: prefixes around guilty clients that are under decision as a whole.

A cordon is looked at again while it stands, for the sake of who else comes to live there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from excise.decide.book import Verdict
from excise.decide.cases import Cases
from excise.decide.docket import Docket
from excise.decide.fleets import Fleets
from excise.decide.guard import parse_network
from excise.decide.ladder import MILDEST
from excise.decide.neighbours import Neighbours
from excise.decide.prefixes import Prefix
from excise.decide.words import reason
from excise.features.world import World
from excise.model.decision import Decision, Op, Plane

#: how often it is looked again who lives in a prefix under decision
REVIEW_S = 300.0


class Cordons:
    """Owns which prefix a decision's target is, and when each is looked at again."""

    def __init__(
        self, world: World, cases: Cases, neighbours: Neighbours, docket: Docket, fleets: Fleets
    ) -> None:
        self._world, self._cases, self._fleets = world, cases, fleets
        self._neighbours, self._docket = neighbours, docket
        self._prefixes: dict[str, Prefix] = {}
        self._texts: dict[Prefix, str] = {}
        self._reviews: dict[str, float] = {}

    def connect(self, end: Callable[[Decision, Op, float], None]) -> None:
        """Say how a decision ends."""
        self._end = end

    def at(self, target: str) -> Prefix | None:
        """Return the prefix that a target under decision is."""
        return self._prefixes.get(target)

    def around(self, row: int, now: float) -> Decision | None:
        """Return the decision on a prefix around a client that is at its top for a while yet."""
        for prefix in self._neighbours.around(row):
            text = self._texts.get(prefix)
            decision = None if text is None else self._docket.book.get(Plane.NETWORK, text)
            if decision is None or decision.wanted < self._highest(prefix):
                continue
            if decision.until - now > self._docket.half_ttl_s(decision):
                return decision
        return None

    def draw(self, row: int, now: float) -> bool:
        """Decide on the narrowest prefix around a guilty client, if one is guilty as a whole."""
        prefix = self._neighbours.narrowest(row, now)
        if prefix is None or self._docket.guard.covering(parse_network(prefix.text), now):
            return False
        score = self._neighbours.score(prefix, now)
        rung = self._cases.rung(self._docket.ladder, score, now)
        if rung < MILDEST:
            return False
        members = len(self._neighbours.guilty.members[prefix])
        why = f"{members} guilty clients in {prefix.text}: {reason(score)}"
        self._watch(prefix.text, prefix, now)
        most = self._highest(prefix)
        if self._neighbours.only_inherits(prefix):
            why += "; throttled, not dropped: none of its clients has evidence of its own"
        campaign = self._fleets.campaign_of(score, self._cases.campaigns_of_client(row))
        verdict = Verdict(min(rung, most), score.total, score.rules, why, most, campaign)
        self._docket.apply(Plane.NETWORK, prefix.text, verdict, now)
        return True

    def redraw(self, prefix: Prefix, decision: Decision, now: float) -> None:
        """Judge a prefix under decision anew."""
        score = self._neighbours.score(prefix, now)
        rung = self._cases.rung(self._docket.ladder, score, now)
        most, why = self._highest(prefix), decision.reason
        verdict = Verdict(min(rung, most), score.total, score.rules, why, most, decision.campaign)
        self._docket.apply(Plane.NETWORK, decision.target, verdict, now)

    def total(self, prefix: Prefix, now: float) -> float:
        """Return the score a prefix has now: none, if too many honest have come."""
        return 0.0 if self._spoilt(prefix, now) else self._neighbours.score(prefix, now).total

    def is_review(self, target: str, at: float) -> bool:
        """Whether the timer of a target at a time is that of looking again."""
        return self._reviews.get(target) == at

    def review(self, decision: Decision, now: float) -> None:
        """Look again who else lives in a prefix: newcomers must not wait until it lapses."""
        prefix = self._prefixes.get(decision.target)
        if prefix is None:
            self._reviews.pop(decision.target)
        elif self._spoilt(prefix, now):
            self._end(decision, Op.LIFT, now)
        else:
            self._review_at(decision.target, now)

    def forget_review(self, target: str) -> None:
        """Look no more at a target under no decision."""
        self._reviews.pop(target, None)

    def drop(self, target: str) -> None:
        """Forget the prefix of a decision that has ended, if it was on one."""
        prefix = self._prefixes.pop(target, None)
        if prefix is not None:
            del self._texts[prefix]
            self._reviews.pop(target, None)

    def adopt(self, decisions: Iterable[Decision], now: float) -> None:
        """Replace all by the prefixes among stored decisions."""
        self._prefixes.clear()
        self._texts.clear()
        self._reviews.clear()
        for decision in decisions:
            if decision.plane is Plane.NETWORK:
                self._adopt(decision.target, now)

    def step_back(self, seconds: float) -> None:
        """Follow a clock that was set back."""
        self._reviews = {target: at - seconds for target, at in self._reviews.items()}

    def _adopt(self, target: str, now: float) -> None:
        network = parse_network(target)
        bits = int(network.network_address) >> (0 if network.version == 4 else 64)
        prefix = Prefix(network.version, bits, network.prefixlen)
        members = self._neighbours.guilty.members.get(prefix, ())
        if len(members) >= self._docket.settings.policy.subnet_members:
            self._watch(target, prefix, now)

    def _watch(self, target: str, prefix: Prefix, now: float) -> None:
        self._prefixes[target] = prefix
        self._texts[prefix] = target
        if target not in self._reviews:
            self._review_at(target, now)

    def _review_at(self, target: str, now: float) -> None:
        self._reviews[target] = now + REVIEW_S
        self._docket.remind(now + REVIEW_S, Plane.NETWORK, target)

    def _spoilt(self, prefix: Prefix, now: float) -> bool:
        return self._neighbours.honest(prefix, now) > self._neighbours.most_honest()

    def _highest(self, prefix: Prefix) -> int:
        """Return the highest rung for a prefix: one that only inherits is throttled."""
        return self._docket.ladder.top - self._neighbours.only_inherits(prefix)
