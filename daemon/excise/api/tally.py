"""Counts since start that only the stream of effects knows: decisions, findings, reloads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from excise.model.decision import DecisionEvent
from excise.model.step import Alarm, Effect, Finding


class Tally:
    """Filled by the daemon's loop, read by `/metrics`. Labels are bounded: never an address."""

    def __init__(self) -> None:
        self.decisions: Counter[tuple[str, str, str]] = Counter()  # (op, plane, action)
        self.findings: Counter[str] = Counter()  # rule id
        self.alarms: Counter[str] = Counter()  # code
        self.reloads_applied = 0
        self.reloads_refused = 0
        self.last_reload_ts: float | None = None
        self.last_reload_applied = True

    def count(self, effects: Iterable[Effect]) -> None:
        """Count what the core just said."""
        for effect in effects:
            match effect:
                case DecisionEvent(op=op, decision=d):
                    self.decisions[op.value, d.plane.value, d.action.value] += 1
                case Finding(rule=rule):
                    self.findings[rule] += 1
                case Alarm(code=code):
                    self.alarms[code] += 1

    def reloaded(self, *, applied: bool, ts: float) -> None:
        """Count a reload at `ts` (epoch seconds), and whether the new set is in force."""
        self.reloads_applied += applied
        self.reloads_refused += not applied
        self.last_reload_ts, self.last_reload_applied = ts, applied
