"""Trials: a few accounts of a campaign are slowed for a while, to see whether others make up.

Opt-in, since it also slows suspects who may be innocent. A trial acts on the account plane alone,
by the mildest tier, for one window of time; it never drops or denies, and ends early where its
campaign vanishes or is enforced, the posture no longer lets a throttle through, or it is turned
off. Windows lie on a grid of event time and are counted on passes, between records, so batches
change nothing. `campaigns.trial` has the statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from excise.campaigns.groups import Groups
from excise.campaigns.marks import WINDOWS, Marks
from excise.campaigns.register import Campaign
from excise.campaigns.trial import LEAST_STRENGTH, SIGNIFICANT, Measure, evaluate, strength
from excise.decide.book import Verdict
from excise.decide.crowd import WAVE_S, Crowd
from excise.decide.draw import Draw, lot
from excise.decide.ladder import MILDEST
from excise.features.conduct import DAY_S
from excise.features.interner import Rows
from excise.features.state import Column
from excise.features.world import World
from excise.model.decision import Decision, Op, Origin, Plane, Posture
from excise.model.settings import Trials as Wanted
from excise.model.view import TrialsView, TrialView

#: a campaign is not tried again for this long, and for so long a result speaks
REST_S = DAY_S
#: a trial takes at least this share of a campaign's accounts
LEAST_SHARE = 0.1
#: most accounts of a host that are in trials at once, and their most share of the day's accounts
MOST, MOST_SHARE = 2_000, 0.1
#: a pass that comes so little before a border meets it: by how much a clock was set back is known
#: to seconds
EARLY_S = 30.0
#: why a trial that was under way when the configuration changed says nothing
OTHER = "trials came to be off, or of another duration"
End = Callable[[Decision, Op, float], None]
Assess = Callable[[int, float], None]


@dataclass(slots=True)
class Trial:
    """A trial of the campaign `number`, under way, or over once `ended` is set.

    `name` is the campaign's id when it began; `until` when it shall end; `strength` the z that was
    to be expected. `slowed`, `rest` and `waiting` (for the wave at `wave`) are account rows.
    """

    number: int
    name: str
    begun: float
    until: float
    strength: float
    slowed: list[int] = field(default_factory=list)
    rest: list[int] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    wave: float = 0.0
    ended: float = 0.0
    result: Measure = field(default_factory=lambda: says_nothing("it is under way"))

    @property
    def key(self) -> str:
        """What lots and permutations are drawn with."""
        return f"{self.name}|{self.begun:.3f}"

    @property
    def timer(self) -> str:
        """What its timer is called."""
        return f"trial {self.name}"

    @property
    def state(self) -> str:
        """`running`, `void`, `shifted` (the load moved) or `unmoved`."""
        if not self.ended:
            return "running"
        if self.result.void:
            return "void"
        return "shifted" if self.result.p < SIGNIFICANT else "unmoved"


class Trials:
    """Owns the marks and each campaign's last trial, by the campaign's number.

    `border` is when the window under way ends, 0.0 before the first.
    """

    def __init__(self, world: World, crowd: Crowd, wanted: Wanted) -> None:
        self._world, self._crowd, self._docket = world, crowd, crowd.docket
        self.wanted = wanted
        self.marks = Marks()
        self.draw = Draw(world, crowd, self.marks)
        self.border = 0.0
        self.trials: dict[int, Trial] = {}
        #: what rules' own tests say that trials have found, in place of any
        self.pinned: float | None = None
        self._opens = False

    def connect(self, account: Assess, end: End) -> None:
        """Say how an account is judged, and how a decision ends."""
        self._account, self._end = account, end

    def configure(self, wanted: Wanted, now: float) -> None:
        """Take over changed settings; trials end where they are turned off or last otherwise."""
        before, self.wanted = self.wanted, wanted
        if before.enabled and (not wanted.enabled or wanted.duration_s != before.duration_s):
            self._begin_anew(OTHER, now)
        self.recheck(now)

    # On a pass

    def close(self, now: float) -> None:
        """Count a window where one ends, and measure the trials that end with it."""
        self._opens = False
        if not self.wanted.enabled or now < self.border - EARLY_S:
            return
        window_s = self.wanted.duration_s
        if not self.border or now >= self.border + window_s:
            self._begin_anew("the log was silent for long, or its clock jumped", now)
            self.border = now // window_s * window_s + window_s
            return
        self.border += window_s
        self.marks.take(self._world, now)
        for trial in self._running():
            self._stop(trial, self._measure(trial), now)
        self._opens = len(self.marks.times) > WINDOWS

    def evidence(self, numbers: Rows, now: float) -> Column:
        """Return what trials have found of campaigns: -log10 of p, 0 where there is nothing."""
        if self.pinned is not None:
            return np.full(len(numbers), self.pinned)
        found = np.zeros(len(numbers))
        if not self.wanted.enabled:
            return found
        for i, number in enumerate(numbers.tolist()):
            trial = self.trials.get(number)
            if trial and trial.ended and not trial.result.void and now - trial.ended < REST_S:
                found[i] = -np.log10(trial.result.p)
        return found

    def open(self, groups: Groups, now: float) -> None:
        """End trials whose campaign is gone or enforced; begin others where a window begins."""
        if not self.wanted.enabled:
            return
        campaigns = self._crowd.register.campaigns
        for trial in self._running():
            if why := self._ends(campaigns.get(trial.number)):
                self._stop(trial, says_nothing(why), now)
        self.trials = {n: t for n, t in self.trials.items() if n in campaigns}
        due = [c for c in campaigns.values() if self._opens and self._due(c, now)]
        if due:
            candidates = self.draw.candidates(groups, now)
            for campaign in due:
                self._begin(campaign, candidates, now)

    def _running(self) -> list[Trial]:
        return [t for _, t in sorted(self.trials.items()) if not t.ended]

    @property
    def _acts(self) -> bool:
        """Whether a throttle would reach anybody."""
        observes = self._docket.effective_on(Plane.ACCOUNT) is Posture.OBSERVE
        return bool(self._docket.settings.tiers) and not observes

    def _ends(self, campaign: Campaign | None) -> str:
        """Return why a trial may not go on, `""` if it may."""
        if not self._acts:
            return "the posture came to be observe, under which nothing is slowed"
        if campaign is None:
            return "the campaign is gone"
        return "the campaign was enforced meanwhile" if campaign.enforced_at else ""

    def _due(self, campaign: Campaign, now: float) -> bool:
        """Whether a campaign may be tried: found now and before, not enforced, and rested."""
        last = self.trials.get(campaign.number)
        rested = last is None or (last.ended > 0 and now - last.begun >= REST_S)
        found_twice = campaign.born < now == campaign.seen
        return self._acts and rested and found_twice and not campaign.enforced_at

    def _begin(self, campaign: Campaign, candidates: set[int], now: float) -> None:
        """Begin a trial of a campaign, if it would have enough power and there is room."""
        members = [a for a in campaign.accounts if a in candidates]
        most = min(round(self.wanted.share * len(members)), self._room(now))
        trial = Trial(campaign.number, campaign.id, now, self.border, 0.0, wave=now)
        trial.waiting, trial.rest = self.draw.split(members, most, trial.key, now)
        if len(trial.waiting) < max(1.0, LEAST_SHARE * len(members)):
            return
        both = [*trial.rest, *trial.waiting]
        rest, slowed = (self.draw.arm(side, WINDOWS) for side in (trial.rest, trial.waiting))
        controls = self.draw.controls(both, WINDOWS)
        trial.strength = strength(rest, controls, slowed.before.mean(axis=1))
        if trial.strength >= LEAST_STRENGTH:
            self.trials[campaign.number] = trial
            self.wave(trial.timer, now)

    def _room(self, now: float) -> int:
        """Return how many more accounts of the host may be slowed."""
        taken = sum(len(t.slowed) + len(t.waiting) for t in self._running())
        return max(0, min(MOST, int(MOST_SHARE * self.draw.of_the_day(now))) - taken)

    # Acting

    def is_wave(self, timer: str) -> bool:
        """Whether a timer's target is a trial."""
        return any(t.timer == timer for t in self._running())

    def wave(self, timer: str, now: float) -> None:
        """Slow accounts of a trial, as the governor leaves room; the others a minute later."""
        for trial in self._running():
            if trial.timer == timer and now < trial.until:
                while trial.waiting and self._crowd.has_room(now):
                    self._slow(trial, trial.waiting.pop(0), now)
                if trial.waiting:
                    trial.wave = now + WAVE_S
                    self._docket.remind(trial.wave, Plane.ACCOUNT, timer)

    def _slow(self, trial: Trial, account: int, now: float) -> None:
        if not self._acts or self.draw.bound(account):
            return
        score = self._crowd.score(trial.number, now).total
        why = (
            f"a trial, not a finding: some accounts of campaign {trial.name} are slowed for a "
            f"while, to see whether its other accounts make up for them"
        )
        verdict = Verdict(MILDEST, score, (), why, MILDEST, trial.name, trial.until - now)
        self._docket.lend(self._world.accounts.name(account), verdict, now)
        trial.slowed.append(account)

    def _lift(self, rows: Iterable[int], now: float) -> None:
        """Lift the throttles of trials; what rules and operators decided is not ours."""
        for row in rows:
            name = self._world.accounts.name(row)
            decision = self._docket.book.get(Plane.ACCOUNT, name)
            if decision is not None and decision.origin is Origin.TRIAL:
                self._end(decision, Op.LIFT, now)

    def _stop(self, trial: Trial, result: Measure, now: float) -> None:
        """End a trial: its throttles are lifted, and what else speaks of the accounts counts."""
        trial.ended, trial.result = now, result
        trial.waiting.clear()
        self._lift(trial.slowed, now)
        for row in trial.slowed:
            self._account(row, now)

    def _measure(self, trial: Trial) -> Measure:
        if trial.waiting:
            return says_nothing("the governor left no room to slow its accounts")
        rest, slowed = (self.draw.arm(side, WINDOWS + 1) for side in (trial.rest, trial.slowed))
        controls = self.draw.controls([*trial.rest, *trial.slowed], WINDOWS + 1)
        return evaluate(rest, controls, slowed, lot(trial.key, "permutations"))

    def recheck(self, now: float) -> None:
        """Let go who is allowed or declared by now."""
        for trial in self._running():
            gone = [row for row in trial.slowed if self.draw.safe(row, now)]
            self._lift(gone, now)
            self._drop(gone)

    def release(self, account: int) -> None:
        """Take an account out of trials for good: the operator lifted its throttle."""
        self.draw.released.add(account)
        self._drop([account])

    def _drop(self, accounts: Iterable[int]) -> None:
        gone = set(accounts)
        for t in self.trials.values():
            t.slowed, t.rest, t.waiting = (
                [row for row in rows if row not in gone] for rows in (t.slowed, t.rest, t.waiting)
            )

    # Views

    def view(self, number: int) -> TrialView | None:
        """Return a campaign's last trial for showing, None if there was none."""
        t = self.trials.get(number)
        if t is None:
            return None
        measured = t.state in {"shifted", "unmoved"}
        return TrialView(
            state=t.state,
            begun_ts=t.begun,
            until_ts=t.ended or t.until,
            slowed=len(t.slowed),
            rest=len(t.rest),
            expected_z=round(t.strength, 2),
            p=t.result.p if measured else None,
            gained_requests=round(t.result.gained) if measured else None,
            lost_requests=round(t.result.lost) if measured else None,
            why=t.result.void if t.state == "void" else "",
        )

    def glance(self) -> TrialsView:
        """Return whether trials are on, and what is under way."""
        running = self._running()
        return TrialsView(self.wanted.enabled, len(running), sum(len(t.slowed) for t in running))

    # Housekeeping

    def held(self) -> Rows:
        """Return account rows of trials under way."""
        rows = {row for t in self._running() for row in (*t.slowed, *t.rest, *t.waiting)}
        return np.array(sorted(rows), dtype=np.int64)

    def forget_accounts(self, rows: Rows) -> None:
        """Forget accounts whose rows were given up."""
        self.marks.forget(rows)
        self.draw.released.difference_update(rows.tolist())
        if self.trials:
            self._drop(rows.tolist())

    def resume(self, border: float, trials: list[Trial], released: list[int], now: float) -> None:
        """Take over what was stored; `border` is 0.0 where its windows are not those of today."""
        self.border, self.trials = border, {t.number: t for t in trials}
        self.draw.released.update(released)
        if not border:
            for trial in self._running():
                trial.ended, trial.result = now, says_nothing(OTHER)

    def adopt(self, now: float) -> None:
        """Lift throttles of trials that are over, and set the timers of waves."""
        slowed = {row for trial in self._running() for row in trial.slowed}
        for decision in list(self._docket.book.active.values()):
            row = self._world.accounts.rows.get(decision.target)
            if decision.origin is Origin.TRIAL and row not in slowed:
                self._end(decision, Op.LIFT, now)
        for trial in self._running():
            if trial.waiting:
                self._docket.remind(trial.wave, Plane.ACCOUNT, trial.timer)

    def step_back(self, seconds: float) -> None:
        """Follow a clock that was set back: windows keep their length."""
        self.marks.step_back(seconds)
        self.border -= seconds if self.border else 0.0
        for t in self.trials.values():
            t.begun, t.until, t.wave = (at - seconds for at in (t.begun, t.until, t.wave))
            t.ended -= seconds if t.ended else 0.0

    def _begin_anew(self, why: str, now: float) -> None:
        for trial in self._running():
            self._stop(trial, says_nothing(why), now)
        self.marks.clear()
        self.border = 0.0


def says_nothing(why: str) -> Measure:
    """Return the measure of a trial that says nothing."""
    return Measure(1.0, 0.0, 0.0, 1.0, why)
