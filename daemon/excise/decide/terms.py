"""Terms: what becomes of a decision when its time comes. It climbs, goes on, softens or ends."""

from __future__ import annotations

from collections.abc import Callable

from excise.decide.bounds import Bounds
from excise.decide.cases import Cases
from excise.decide.cordons import Cordons
from excise.decide.docket import Docket
from excise.decide.ladder import MILDEST
from excise.decide.roll import Roll
from excise.model.decision import Decision, Op, Origin
from excise.model.entity import Kind

Again = Callable[[Kind, int, float], None]
End = Callable[[Decision, Op, float], None]


class Terms:
    """Runs the timers of decisions, and those of prefixes that are to be looked at again."""

    def __init__(
        self, cases: Cases, docket: Docket, bounds: Bounds, cordons: Cordons, roll: Roll
    ) -> None:
        self._cases, self._docket = cases, docket
        self._bounds, self._cordons, self._roll = bounds, cordons, roll

    def connect(self, again: Again, end: End) -> None:
        """Say how an entity is judged anew, and how a decision ends."""
        self._again, self._end = again, end

    def run(self, at: float, target: str, decision: Decision | None) -> None:
        """Run a timer of a target: its decision lapses, may climb, or is looked at again."""
        if decision is None:
            self._cordons.forget_review(target)
        elif self._cordons.is_review(target, at):
            self._cordons.review(decision, at)
        elif decision.until > at:
            if at == self._docket.climbs_at(decision):  # else: the end it had before a renewal
                self._reassess(decision, at)
        elif decision.origin is Origin.RULES and self._still(decision, at):
            self._docket.keep(decision, at)
        else:
            self._end(decision, Op.EXPIRE, at)
            if decision.origin is Origin.RULES and decision.wanted >= self._docket.ladder.top:
                self._soften(decision, at)

    def _reassess(self, decision: Decision, now: float) -> None:
        prefix = self._cordons.at(decision.target)
        kind, row = self._roll.locate(decision)
        if prefix is not None:
            self._cordons.redraw(prefix, decision, now)
        elif row is not None:
            self._again(kind, row, now)

    def _soften(self, decision: Decision, now: float) -> None:
        """Throttle a client whose drop lapsed only for doubt about who else lives there.

        Without this its next request would pass free, and the one after a renewal again.
        """
        kind, row = self._roll.locate(decision)
        if kind is Kind.CLIENT and row is not None:
            most, _ = self._bounds.client(row, self._cases.collateral(row), now)
            stands = self._cases.client_score(row, now).total >= self._docket.least(decision)
            if stands and most >= MILDEST:
                self._again(kind, row, now)

    def _still(self, decision: Decision, now: float) -> bool:
        """Whether a decision that lapses still rests on enough evidence to go on."""
        prefix = self._cordons.at(decision.target)
        kind, row = self._roll.locate(decision)
        if prefix is not None:
            total = self._cordons.total(prefix, now)
        elif row is None or self._bounds.spares(kind, row, decision, now):
            return False
        else:
            total = self._cases.score(kind, row, now).total
        return total >= max(self._docket.least(decision), 1.0)
