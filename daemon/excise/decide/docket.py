"""The docket: puts verdicts into the book, a rung and a dwell at a time, within all bounds.

Holds what every decision must pass: the guard (never-block and allowlist), the governor, the
posture, and the clock of timers by which decisions climb and lapse.
"""

from __future__ import annotations

import heapq
from dataclasses import replace

import numpy as np

from excise.decide.book import Book, Verdict
from excise.decide.governor import Brake
from excise.decide.guard import Guard, parse_network
from excise.decide.ladder import MILDEST, Ladder
from excise.decide.realip import doubt
from excise.features.interner import Rows
from excise.features.world import World
from excise.model.decision import Decision, Op, Origin, Plane, Posture
from excise.model.entity import Kind
from excise.model.settings import Settings
from excise.model.step import Alarm, Effect

#: a client counts as active for this long after a request
ACTIVE_S = 3600.0
#: how many of them are enforced is counted this often
COUNTED_S = 60.0


class Docket:
    """Owns the book, the timers, and the effects that wait to be taken."""

    def __init__(self, settings: Settings, world: World) -> None:
        self.settings, self.world = settings, world
        self.posture = settings.posture
        self.ladder = Ladder(settings.policy, settings.tiers)
        self.book = Book(self.ladder)
        self.guard = Guard(settings.never_block, settings.trusted_proxies)
        self.brake = Brake(settings.governor)
        #: why the clients in the log seem to be proxies, `""` if they do not or are confirmed
        self.doubt = ""
        self._timers: list[tuple[float, int, Plane, str]] = []
        self._serial = 0
        self._wide: dict[str, Rows] = {}
        #: when enforced clients were counted, how many of them, of how many active ones
        self.counted: tuple[float, int, int] | None = None
        self._out: list[Effect] = []

    @property
    def effective(self) -> Posture:
        """The posture in force: observe while the governor is tripped."""
        return Posture.OBSERVE if self.brake.tripped else self.posture

    def effective_on(self, plane: Plane) -> Posture:
        """Return the posture in force on a plane; on the network's, observe in doubt of peers."""
        return Posture.OBSERVE if self.doubt and plane is Plane.NETWORK else self.effective

    def emit(self, effect: Effect) -> None:
        """Put something among the effects."""
        self._out.append(effect)

    def drain(self) -> list[Effect]:
        """Return and forget what was decided since the last call."""
        out, self._out = self._out, []
        return out

    # Verdicts

    def apply(self, plane: Plane, target: str, verdict: Verdict, now: float) -> None:
        """Bring the decision on a target to a verdict, one rung and one dwell at a time."""
        if not self._gives_way(plane, target, verdict, now):
            return
        old = self.book.get(plane, target)
        if plane is Plane.NETWORK and self._spared(target, now):
            if old is not None and self.world.proxies.inside(target, now):
                self.end(old, Op.LIFT, now)
            return
        if old is not None and old.wanted > verdict.most:
            self.end(old, Op.LIFT, now)
            old = None
        if old is None:
            self._climb(plane, target, verdict, min(verdict.rung, MILDEST), now)
        elif verdict.rung > old.wanted:
            ready = self.climbs_at(old) if old.wanted >= MILDEST else now
            if now < ready:
                self.remind(ready, plane, target)
            else:
                rung = verdict.rung if old.wanted >= MILDEST else MILDEST
                self._climb(plane, target, verdict, rung, now)
        elif self._wants_renewal(old, verdict, now):
            self._set(plane, target, replace(verdict, rung=old.wanted), now)

    def _gives_way(self, plane: Plane, target: str, verdict: Verdict, now: float) -> bool:
        """Whether rules may decide on a target: not where an operator or a milder trial has."""
        old = self.book.get(plane, target)
        if old is None or old.origin is Origin.RULES:
            return True
        if old.origin is Origin.OPERATOR or verdict.rung < MILDEST:
            return False
        self.end(old, Op.LIFT, now)  # what speaks against it counts more than a trial
        return True

    def _climb(self, plane: Plane, target: str, verdict: Verdict, rung: int, now: float) -> None:
        self._set(plane, target, replace(verdict, rung=rung), now)
        if verdict.rung > rung:
            self.remind(now + self.settings.policy.dwell_s, plane, target)

    def _wants_renewal(self, old: Decision, verdict: Verdict, now: float) -> bool:
        return old.until - now < self.half_ttl_s(old) and verdict.score >= self.least(old)

    def half_ttl_s(self, decision: Decision) -> float:
        """Return half the time to live of a decision: with less left, it may be renewed."""
        return self.ladder.ttl_s(decision.wanted, decision.strikes) / 2

    def ttl_of(self, plane: Plane, campaign: str | None) -> float | None:
        """Return how long a decision lives, None for its rung's time.

        A verdict on a member's account lives as long as any may: it is lifted with the campaign.
        """
        member = plane is Plane.ACCOUNT and campaign is not None
        return self.settings.policy.ttl_max_s if member else None

    def least(self, decision: Decision) -> float:
        """Return the score that keeps a decision: lower than the one that makes it."""
        return self.settings.policy.keep * self.ladder.threshold(decision.wanted)

    def keep(self, decision: Decision, now: float) -> None:
        """Renew a decision as it is."""
        verdict = Verdict(
            decision.wanted,
            decision.score,
            decision.rules,
            decision.reason,
            campaign=decision.campaign,
            ttl_s=self.ttl_of(decision.plane, decision.campaign),
        )
        self._set(decision.plane, decision.target, verdict, now)

    def lend(self, account: str, verdict: Verdict, now: float) -> None:
        """Put an account under a trial's verdict, which no evidence renews."""
        self._set(Plane.ACCOUNT, account, verdict, now, Origin.TRIAL)

    def _set(
        self,
        plane: Plane,
        target: str,
        verdict: Verdict,
        now: float,
        origin: Origin = Origin.RULES,
    ) -> None:
        old = self.book.get(plane, target)
        fresh = verdict.rung >= MILDEST and (old is None or not old.enforcing)
        if fresh and plane is Plane.NETWORK:
            self.review_peers(now)
        if fresh and self.effective_on(plane) is not Posture.OBSERVE:
            enforced, active = self._active_clients(now)
            inside = self._inside(target, now) if plane is Plane.NETWORK else 0
            if self.brake.near(enforced + inside, active):  # some may have been counted twice
                self.counted = None
                enforced, active = self._active_clients(now, target)
                inside = 0
            if why := self.brake.check(now, enforced + inside, active):
                self._trip(why, now)
            else:
                self.brake.count(now)
                self.counted = self.counted and (self.counted[0], enforced + inside, active)
        posture = self.effective_on(plane)
        event = self.book.set(
            plane, target, verdict, posture, now, origin=origin, ttl_s=verdict.ttl_s
        )
        self.remind(event.decision.until, plane, target)
        self.emit(event)

    def _spared(self, target: str, now: float) -> bool:
        """Whether a network is safe, or has brought other people's requests."""
        if self.guard.covering(parse_network(target), now):
            return True
        return self.world.proxies.inside(target, now)

    def place(
        self,
        plane: Plane,
        target: str,
        verdict: Verdict,
        now: float,
        ttl_s: float,
        *,
        forced: bool = False,
    ) -> None:
        """Put the operator's decision in force, whatever the score and the posture say."""
        event = self.book.set(
            plane,
            target,
            verdict,
            Posture.ENFORCE,
            now,
            origin=Origin.OPERATOR,
            ttl_s=ttl_s,
            forced=forced,
        )
        self.remind(event.decision.until, plane, target)
        self.emit(event)

    def end(self, decision: Decision, op: Op, now: float) -> None:
        """End a decision."""
        self._wide.pop(decision.target, None)
        self.emit(self.book.end((decision.plane, decision.target), op, now))

    # Bounds

    def _trip(self, why: str, now: float) -> None:
        text = f"{why}; enforcement is suspended until an operator sets the posture again"
        self.emit(Alarm(now, "governor-tripped", text))
        self._repose(now)

    def set_posture(self, posture: Posture, now: float) -> None:
        """Change the posture and rearm the governor."""
        self.posture = posture
        self.brake.rearm()
        self._repose(now)

    def _repose(self, now: float) -> None:
        for event in self.book.repose(self.effective_on, now):
            self.emit(event)

    def review_peers(self, now: float) -> None:
        """Look again whether the clients in the log are clients; say so where that changes."""
        why = "" if self.settings.confirm_peers else doubt(self.world, now)
        before, self.doubt = self.doubt, why
        if bool(before) == bool(why):
            return
        if why:
            text = f"the real-IP set-up seems to be wrong: {why}; no network is enforced"
            self.emit(Alarm(now, "peers-doubted", text))
        else:
            text = "the clients in the log are clients, or confirmed; networks are enforced again"
            self.emit(Alarm(now, "peers-settled", text))
        self._repose(now)

    def _active_clients(self, now: float, target: str = "") -> tuple[int, int]:
        """Return how many clients active within the hour are enforced, and how many there are.

        Counted every `COUNTED_S`, and added to in between: what lapses meanwhile counts on.
        `target` counts as enforced.
        """
        if self.counted is None or not 0 <= now - self.counted[0] < COUNTED_S:
            self.counted = now, *self._count_active(now, target)
        return self.counted[1:]

    def _count_active(self, now: float, target: str) -> tuple[int, int]:
        active = self.world.tables[Kind.CLIENT].last > now - ACTIVE_S
        covered = np.zeros(len(active), dtype=bool)
        targets = [
            d.target for d in self.book.active.values() if d.enforcing and d.plane is Plane.NETWORK
        ]
        for name in (*targets, target):
            row = self.world.clients.rows.get(name)
            if row is not None:
                covered[row] = row > 0
            elif name in self._wide:
                covered[self._wide[name]] = True
        return int(np.count_nonzero(covered & active)), int(np.count_nonzero(active))

    def _inside(self, target: str, now: float) -> int:
        """Return how many clients active within the hour a target covers; kept for wide ones."""
        if target in self.world.clients.rows:
            return 1
        self._wide[target] = rows = self.world.directory.inside(parse_network(target))
        return int(np.count_nonzero(self.world.tables[Kind.CLIENT].last[rows] > now - ACTIVE_S))

    def configure(self, settings: Settings) -> None:
        """Take over changed settings; active decisions keep their rung."""
        self.settings = settings
        self.ladder = self.book.ladder = Ladder(settings.policy, settings.tiers)
        self.brake.limits = settings.governor
        self.guard.configure(settings.never_block, settings.trusted_proxies)

    # Timers

    def remind(self, at: float, plane: Plane, target: str) -> None:
        """Come back to a target at a time."""
        self._serial += 1
        heapq.heappush(self._timers, (at, self._serial, plane, target))

    def next_timer(self) -> float:
        """Return when the next timer is due, infinity if none is."""
        return self._timers[0][0] if self._timers else float("inf")

    def take_timer(self) -> tuple[float, str, Decision | None]:
        """Take the timer that is due first: when, on what; None if its decision is gone."""
        at, _, plane, target = heapq.heappop(self._timers)
        return at, target, self.book.get(plane, target)

    def climbs_at(self, decision: Decision) -> float:
        """Return when a decision may take its next rung."""
        return decision.since + self.settings.policy.dwell_s

    def adopt(
        self, decisions: list[Decision], strikes: dict[tuple[str, str], int], now: float
    ) -> None:
        """Replace all decisions by stored ones."""
        self.book.adopt(decisions, strikes)
        self._timers.clear()
        self._out.clear()
        for decision in sorted(decisions, key=lambda d: (d.plane, d.target)):
            self.remind(decision.until, decision.plane, decision.target)
            at = self.climbs_at(decision)
            climbing = MILDEST <= decision.wanted < self.ladder.top and at > now
            if decision.origin is Origin.RULES and climbing:
                self.remind(at, decision.plane, decision.target)

    def step_back(self, seconds: float) -> None:
        """Follow a clock that was set back."""
        self.book.step_back(seconds)
        self.guard.step_back(seconds)
        self.brake.step_back(seconds)
        self._timers = [(at - seconds, n, p, t) for at, n, p, t in self._timers]
