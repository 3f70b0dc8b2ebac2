"""What is shown of scores: the entities with evidence, highest first."""

from __future__ import annotations

import numpy as np

from excise.decide.judge import Judge
from excise.decide.score import Score, weigh
from excise.model.entity import Kind
from excise.model.view import ScoredView


def score_of(judge: Judge, kind: Kind, row: int, now: float) -> Score:
    """Return the score that an entity is judged by."""
    if kind is Kind.CLIENT:
        return judge.client_score(row, now)
    if kind is Kind.ACCOUNT:
        return judge.account_score(row, now)
    dossier = judge.dossiers[kind].get(row)
    return weigh([(dossier, 1.0)] if dossier else [], now, judge.settings.policy.family_cap)


def scored(judge: Judge, now: float, kind: str | None, limit: int) -> list[ScoredView]:
    """Return entities with evidence, or under decision, highest score first."""
    kinds = [Kind(kind)] if kind else list(Kind)
    views = []
    for k in kinds:
        rows = set(judge.dossiers[k])
        for decision in judge.book.active.values():
            located, row = judge.locate(decision)
            if located is k and row is not None:
                rows.add(row)
        views += [view(judge, k, row, now) for row in sorted(rows)]
    views.sort(key=lambda v: (-v.score, v.kind, v.name))
    return views[:limit]


def view(judge: Judge, kind: Kind, row: int, now: float) -> ScoredView:
    """Return one entity as shown in a list."""
    score = score_of(judge, kind, row, now)
    table = judge.world.tables[kind]
    at = np.array([row])
    return ScoredView(
        kind=kind.value,
        name=judge.world.name(kind, row),
        score=round(score.total, 2),
        families=tuple(sorted(f.value for f, p in score.points.items() if p >= 1.0)),
        rules=score.rules,
        first_seen=float(table.first[row]),
        last_seen=float(table.last[row]),
        requests_24h=round(float(judge.world.decayed("requests_24h", kind, at, now)[0]), 2),
        output_tokens_24h=round(
            float(judge.world.decayed("output_tokens_24h", kind, at, now)[0]), 2
        ),
    )
