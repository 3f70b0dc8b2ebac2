"""Evidence and scores.

A rule that fires gives its weight in points, which fade with its half-life; points add up within
a family, each family is capped, and families add up to the score.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from excise.model.entity import Family
from excise.rules.schema import Maturity, Rule

Points = dict[Family, float]
#: least points for a family to count as independent evidence
COUNTS = 10.0
#: points below this are forgotten
NEGLIGIBLE = 0.5


@dataclass(slots=True)
class Evidence:
    """What one rule holds against one entity."""

    rule: Rule
    fired: float
    numbers: tuple[tuple[str, float, float], ...]

    def points(self, now: float) -> float:
        """Return the points left at `now`."""
        age_s = max(0.0, now - self.fired)
        return float(self.rule.weight * 2.0 ** (-age_s / self.rule.half_life_s))


@dataclass(slots=True)
class Dossier:
    """All evidence on one entity, by rule id."""

    evidence: dict[str, Evidence] = field(default_factory=dict)

    def points(self, now: float, *, firm: bool = True) -> Points:
        """Return points by family, uncapped; `firm` leaves experimental rules out."""
        sums: Points = {}
        for e in self.evidence.values():
            if firm and e.rule.maturity is Maturity.EXPERIMENTAL:
                continue
            sums[e.rule.family] = sums.get(e.rule.family, 0.0) + e.points(now)
        return sums

    @property
    def firm(self) -> bool:
        """Whether a rule that may act is among it; experimental ones accuse nobody."""
        return any(e.rule.maturity is not Maturity.EXPERIMENTAL for e in self.evidence.values())

    def prune(self, now: float) -> bool:
        """Forget what has faded; True if nothing is left."""
        faded = [i for i, e in self.evidence.items() if e.points(now) < NEGLIGIBLE]
        for rule_id in faded:
            del self.evidence[rule_id]
        return not self.evidence


@dataclass(frozen=True, slots=True)
class Score:
    """Points by family after the cap, and the evidence behind them, strongest first.

    `hint` is the score that experimental rules would add; it can only observe.
    """

    points: Points
    evidence: tuple[Evidence, ...]
    hint: float = 0.0

    @property
    def total(self) -> float:
        """The score."""
        return sum(self.points.values())

    @property
    def families(self) -> int:
        """How many families count as independent evidence."""
        return sum(p >= COUNTS for p in self.points.values())

    def refused(self, now: float) -> bool:
        """Whether a rule that states a policy, and may act, fired within its half-life."""
        return any(
            e.rule.refuse
            and e.rule.maturity is not Maturity.EXPERIMENTAL
            and now - e.fired <= e.rule.half_life_s
            for e in self.evidence
        )

    @property
    def rules(self) -> tuple[str, ...]:
        """Ids of the rules behind it, in order."""
        return tuple(sorted({e.rule.id for e in self.evidence}))


def weigh(parts: Iterable[tuple[Dossier, float]], now: float, cap: float) -> Score:
    """Combine dossiers on one thing: per family the strongest, capped.

    Each part comes with the share in which it concerns the thing. The strongest counts and not
    the sum, because the same requests stand behind an address, its account and its use.
    """
    best: Points = {}
    hint: Points = {}
    behind: list[tuple[float, Evidence]] = []
    for dossier, share in parts:
        for into, firm in ((best, True), (hint, False)):
            for family, value in dossier.points(now, firm=firm).items():
                into[family] = max(into.get(family, 0.0), min(cap, value * share))
        behind += [(e.points(now) * share, e) for e in dossier.evidence.values()]
    behind.sort(key=lambda item: (-item[0], item[1].rule.id))
    kept = tuple(e for points, e in behind if points >= NEGLIGIBLE)
    return Score(best, kept, sum(hint.values()) - sum(best.values()))
