"""The book of decisions: what is active, its changes as events, and repeat offenders' strikes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from excise.decide.ladder import Ladder
from excise.model.decision import Decision, DecisionEvent, Op, Origin, Plane, Posture

Key = tuple[Plane, str]
#: strikes are forgotten this long after the decision ended
STRIKE_MEMORY_S = 7 * 86_400.0
STRIKES_KEPT = 100_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What should be done about a target, and why.

    `most` is the highest rung that the honest behind the target allow: an active decision above
    it ends, where a score that merely fades lets it live out its time. `campaign` is the id of
    the campaign whose evidence it rests on. `ttl_s` is how long it lives, None for the rung's time.
    """

    rung: int
    score: float
    rules: tuple[str, ...]
    reason: str
    most: int = 1_000
    campaign: str | None = None
    ttl_s: float | None = None


class Book:
    """Owns the active decisions. Every change is returned as an event."""

    def __init__(self, ladder: Ladder) -> None:
        self.ladder = ladder
        self.active: dict[Key, Decision] = {}
        self._strikes: dict[Key, tuple[int, float]] = {}

    def get(self, plane: Plane, target: str) -> Decision | None:
        """Return the active decision on a target."""
        return self.active.get((plane, target))

    def strikes(self, key: Key, now: float) -> int:
        """Return how many enforcing decisions on a target came before."""
        count, ended = self._strikes.get(key, (0, 0.0))
        return count if now - ended <= STRIKE_MEMORY_S else 0

    def set(
        self,
        plane: Plane,
        target: str,
        verdict: Verdict,
        posture: Posture,
        now: float,
        *,
        origin: Origin = Origin.RULES,
        ttl_s: float | None = None,
        forced: bool = False,
    ) -> DecisionEvent:
        """Add a decision, or bring the active one to a verdict (renew or escalate)."""
        key = plane, target
        old = self.active.get(key)
        action, tier = self.ladder.action(verdict.rung, plane, posture)
        strikes = old.strikes if old else self.strikes(key, now)
        if ttl_s is None:
            ttl_s = self.ladder.lasts_s(verdict.rung, strikes, target)
        new = Decision(
            id=old.id if old else decision_id(plane, target, now),
            plane=plane,
            target=target,
            action=action,
            tier=tier,
            since=now if old is None or old.wanted != verdict.rung else old.since,
            until=now + ttl_s,
            score=verdict.score,
            rules=verdict.rules,
            reason=verdict.reason,
            campaign=verdict.campaign,
            origin=origin,
            wanted=verdict.rung,
            strikes=strikes,
            forced=forced,
        )
        self.active[key] = new
        if old is None:
            return DecisionEvent(now, Op.ADD, new)
        same = (old.action, old.tier) == (new.action, new.tier)
        return DecisionEvent(now, Op.RENEW if same else Op.ESCALATE, new)

    def end(self, key: Key, op: Op, now: float, reason: str | None = None) -> DecisionEvent:
        """End a decision (lift or expire)."""
        old = self.active.pop(key)
        earned = old.enforcing and old.origin is not Origin.TRIAL
        if earned and op is Op.EXPIRE:  # what was lifted was a mistake
            self._strikes.pop(key, None)
            self._strikes[key] = (old.strikes + 1, now)
            while len(self._strikes) > STRIKES_KEPT:
                del self._strikes[next(iter(self._strikes))]
        return DecisionEvent(now, op, old if reason is None else replace(old, reason=reason))

    def pardon(self, decision: Decision) -> None:
        """Forget the strikes of a target: the operator says that it was a mistake."""
        self._strikes.pop((decision.plane, decision.target), None)

    def repose(self, posture_on: Callable[[Plane], Posture], now: float) -> list[DecisionEvent]:
        """Bring the rules' decisions in line with a new posture; the operator's own stay."""
        events = []
        for key, old in list(self.active.items()):
            if old.origin is Origin.OPERATOR:
                continue
            action, tier = self.ladder.action(old.wanted, old.plane, posture_on(old.plane))
            if (action, tier) != (old.action, old.tier):
                new = replace(old, action=action, tier=tier)
                self.active[key] = new
                events.append(DecisionEvent(now, Op.ESCALATE, new))
        return events

    def adopt(self, decisions: Iterable[Decision], strikes: dict[tuple[str, str], int]) -> None:
        """Replace everything by stored decisions and strikes."""
        self.active = {(d.plane, d.target): d for d in decisions}
        last = max((d.since for d in self.active.values()), default=0.0)
        self._strikes = {(Plane(p), t): (n, last) for (p, t), n in strikes.items()}

    def step_back(self, seconds: float) -> None:
        """Follow a clock that was set back."""
        for key, d in self.active.items():
            self.active[key] = replace(d, since=d.since - seconds, until=d.until - seconds)
        self._strikes = {k: (n, ended - seconds) for k, (n, ended) in self._strikes.items()}


def decision_id(plane: Plane, target: str, since: float) -> str:
    """Return a stable id: the same stream of records gives the same ids."""
    digest = hashlib.blake2b(f"{plane.value}|{target}|{since:.6f}".encode(), digest_size=8)
    return digest.hexdigest()
