"""What the kernel took away, added up: by decision, by tier, and in all.

The kernel's counters start from zero whenever an element or a table is made anew; what is kept
here only grows. A look reads a bounded number of them and goes on there the next time, in small
jobs between which decisions reach the kernel.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial

import msgspec

from excise.daemon.converge import Converger
from excise.decide.plan import Element, Measure
from excise.decide.span import Span, parse_span
from excise.enforce.base import Counted, Traffic
from excise.errors import EnforceError
from excise.log import Log
from excise.model.decision import Action, Decision
from excise.model.view import CountView, DroppedView, EnforcerView

LOOK_S = 1.0
#: a round over all counters begins no sooner after the last began
ROUND_S = 5.0
#: counters read in one look: about 5 ms (20 µs each), 0.5 % of the time
MOST_COUNTERS = 256
#: in one job: a decision waits no longer than this takes (about 2 ms)
JOB_COUNTERS = 64
NOTHING = Traffic(0, 0)

Where = tuple[Measure, Span]
Key = tuple[Measure, Span, int]
ByMeasure = dict[Measure, Traffic]


@dataclass(slots=True)
class Taken:
    """What was taken away from the target of a decision, as of `counted_ts`."""

    target: Span
    measures: ByMeasure
    counted_ts: float


@dataclass(slots=True)
class Meter:
    """Owns the sums; the event loop's alone. `wall()` gives epoch seconds.

    `around(span)` yields the decisions on a span and on the networks around it, narrowest first.
    """

    converger: Converger
    executor: Executor
    around: Callable[[Span], Iterable[Decision]]
    wall: Callable[[], float]
    log: Log
    totals: ByMeasure = field(default_factory=dict)
    tiers: dict[str, ByMeasure] = field(default_factory=dict)
    counted_ts: float | None = None
    _decisions: dict[str, Taken] = field(default_factory=dict)
    _credited: set[str] = field(default_factory=set)
    #: where counters stood: in the round before, and in this one
    _last: dict[Key, Traffic] = field(default_factory=dict)
    _now: dict[Key, Traffic] = field(default_factory=dict)
    _last_totals: Mapping[Measure, Traffic] = field(default_factory=dict)
    _epoch: int = 0
    _total_epoch: int = 0
    _rounds: int = 0
    _waiting: list[Element] = field(default_factory=list)
    _begun: float = float("-inf")

    async def run(self, beat: Callable[[], None]) -> None:
        """Look every second, for ever."""
        while True:
            beat()
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Read the next counters. A kernel that fails is the reconciler's matter."""
        if not self.converger.opened:
            return
        job = partial(asyncio.get_running_loop().run_in_executor, self.executor)
        try:
            self.add_totals(await job(self.converger.count_all))
            if not self._waiting and self.wall() - self._begun >= ROUND_S:
                self._begin(await job(self.converger.countable))
            for _ in range(0, MOST_COUNTERS, JOB_COUNTERS):
                part = self._waiting[-JOB_COUNTERS:]
                if part:
                    self.add(await job(self.converger.count, part), part)
                    del self._waiting[-JOB_COUNTERS:]
        except EnforceError as error:
            self.log.debug("enforce.not_counted", error=str(error))

    def add_totals(self, counted: Counted[Measure]) -> None:
        """Add what all rules counted since the last time."""
        if counted.epoch != self._total_epoch:
            self._total_epoch, self._last_totals = counted.epoch, {}
        for measure, traffic in counted.traffic.items():
            _add(self.totals, measure, _since(self._last_totals.get(measure), traffic))
        self._last_totals = dict(counted.traffic)
        if counted.traffic:  # a backend that counts has a number for every measure
            self.counted_ts = self.wall()

    def add(self, counted: Counted[Where], elements: Sequence[Element]) -> None:
        """Add what these elements counted since the last time."""
        if counted.epoch != self._epoch:
            self._epoch, self._last, self._now = counted.epoch, {}, {}
        now = self.wall()
        for e in elements:
            traffic = counted.traffic.get((e.measure, e.span))
            if traffic is None:
                continue
            key = (e.measure, e.span, e.rate)
            last = self._now.get(key) or self._last.get(key)
            self._now[key] = traffic
            # in the first round an element may have counted before this daemon came up
            is_ours = last is not None or self._rounds > 1
            self._credit(e, _since(last, traffic), now, to_tier=is_ours)

    def dropped(self, decision_id: str) -> DroppedView | None:
        """Return what was taken away from a decision's target; None if that is not counted."""
        found = self._decisions.get(decision_id)
        if found is None:
            return None
        every = sum(found.measures.values(), NOTHING)
        return DroppedView(every.packets, every.bytes, _views(found.measures), found.counted_ts)

    def onto(self, view: EnforcerView) -> EnforcerView:
        """Return the kernel's side with what was counted."""
        return msgspec.structs.replace(
            view,
            dropped=_views(self.totals),
            throttled={tier: _views(measures) for tier, measures in self.tiers.items()},
            counted_ts=self.counted_ts,
        )

    def _begin(self, held: Sequence[Element]) -> None:
        """Begin another round over all elements, and forget what is no longer there."""
        self._waiting, self._begun = list(held), self.wall()
        self._last, self._now = self._now, {}
        self._rounds += 1
        ended = [k for k in self._decisions.keys() - self._credited if not self._stands(k)]
        for decision_id in ended:
            del self._decisions[decision_id]
        self._credited = set()

    def _stands(self, decision_id: str) -> bool:
        """Whether a decision without counters now, as something stricter covers it, goes on."""
        target = self._decisions[decision_id].target
        return any(decision.id == decision_id for decision in self.around(target))

    def _credit(self, e: Element, more: Traffic, now: float, *, to_tier: bool) -> None:
        wanted = Action.DROP if e.measure is Measure.DROP else Action.THROTTLE
        owner = next((d for d in self.around(e.span) if d.action is wanted), None)
        if owner is None:
            return  # lifted meanwhile; the totals have it
        taken = self._decisions.get(owner.id)
        if taken is None:
            taken = self._decisions[owner.id] = Taken(parse_span(owner.target), {}, now)
        _add(taken.measures, e.measure, more)
        taken.counted_ts = now
        self._credited.add(owner.id)
        if owner.tier is not None and to_tier:
            _add(self.tiers.setdefault(owner.tier, {}), e.measure, more)


def _since(last: Traffic | None, now: Traffic) -> Traffic:
    """Return what came since; a counter that went back was made anew, and all of it is new."""
    if last is None or now.packets < last.packets or now.bytes < last.bytes:
        return now
    return Traffic(now.packets - last.packets, now.bytes - last.bytes)


def _add(into: ByMeasure, measure: Measure, more: Traffic) -> None:
    into[measure] = into.get(measure, NOTHING) + more


def _views(measures: ByMeasure) -> dict[str, CountView]:
    return {m.value: CountView(t.packets, t.bytes) for m, t in sorted(measures.items())}
