"""What is shown of scores: the entities with evidence, highest first."""

from __future__ import annotations

import numpy as np

from excise.decide.judge import Judge
from excise.model.entity import TABLED, Kind
from excise.model.view import ScoredView


def scored(judge: Judge, now: float, kind: str | None, limit: int) -> list[ScoredView]:
    """Return entities with evidence, or under decision, highest score first."""
    kinds = [Kind(kind)] if kind else list(TABLED)
    views = []
    for k in kinds:
        rows = set(judge.cases.dossiers[k])
        for decision in judge.docket.book.active.values():
            located, row = judge.roll.locate(decision)
            if located is k and row is not None:
                rows.add(row)
        views += [view(judge, k, row, now) for row in sorted(rows)]
    views.sort(key=lambda v: (-v.score, v.kind, v.name))
    return views[:limit]


def view(judge: Judge, kind: Kind, row: int, now: float) -> ScoredView:
    """Return one entity as shown in a list."""
    score = judge.cases.score(kind, row, now)
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
