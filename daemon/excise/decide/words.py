"""Sentences for a person: why something was decided, with the numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from excise.decide.score import Evidence, Score
from excise.model.view import TrialView
from excise.rules.schema import Comparison


def number(value: float) -> str:
    """Write a number as a person reads it: 1,234 or 0.52."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.2f}"


def compared(comparison: Comparison, seen: tuple[str, float, float]) -> str:
    """Write one comparison that held, with the numbers as they were."""
    name, value, threshold = seen
    word = "below" if comparison.above is None else "above"
    return f"{name} {number(value)} ({word} {number(threshold)})"


def evidence_sentence(e: Evidence) -> str:
    """Say what one rule saw."""
    seen = ", ".join(compared(c, n) for c, n in zip(e.rule.when, e.numbers, strict=False))
    return f"{e.rule.about.rstrip('.')}: {seen}"


def evidence_sentences(evidence: Iterable[Evidence]) -> list[str]:
    """Say what rules saw; what several entities have in common, such as a client's keys, once."""
    counted = Counter(evidence_sentence(e) for e in evidence)
    return [f"{text}{f' ({n} times)' if n > 1 else ''}." for text, n in counted.items()]


def trial_sentence(trial: TrialView, now: float) -> str:
    """Say how a campaign's last trial went."""
    which = f"{number(trial.slowed)} of its accounts are slowed, {number(trial.rest)} watched"
    if trial.state == "running":
        left = max(0.0, trial.until_ts - now) / 60
        return f"It is under trial: {which}, {left:.0f} min left."
    ago = f"{number(round((now - trial.until_ts) / 3600, 1))} h ago"
    if trial.state == "void":
        return f"A trial that ended {ago} says nothing: {trial.why}."
    gained, lost = number(trial.gained_requests or 0.0), number(trial.lost_requests or 0.0)
    came = "made up for it" if trial.state == "shifted" else "did not make up for it"
    return (
        f"In a trial that ended {ago} {number(trial.slowed)} of its accounts were slowed and fell "
        f"short of {lost} requests; the other {number(trial.rest)} {came}: they had {gained} more "
        f"than accounts in no campaign had in proportion (p {trial.p or 1.0:.2g})."
    )


def reason(score: Score) -> str:
    """Say in one sentence why a score is what it is: the strongest rule, and the others' ids."""
    if not score.evidence:
        return "no evidence"
    first, rest = score.evidence[0], score.evidence[1:]
    others = sorted({e.rule.id for e in rest} - {first.rule.id})
    also = f"; also {', '.join(others)}" if others else ""
    return evidence_sentence(first) + also
