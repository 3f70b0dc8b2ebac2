"""What a report needs beyond sums: tokens over time by verdict, and how high scores went. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from excise.model.decision import DecisionEvent, Plane
from excise.model.record import Record

#: width of the cells in which the timeline is kept, seconds
CELL_S = 60
THROTTLED, STOPPED = "throttled", "stopped"


class Chronicle:
    """Owns counts by cell of time: [requests, output tokens] of all, and of those enforced."""

    def __init__(self) -> None:
        self.all: dict[int, list[int]] = {}
        self.enforced: dict[str, dict[int, list[int]]] = {THROTTLED: {}, STOPPED: {}}
        #: the highest score at which each target was decided
        self.highest: dict[tuple[Plane, str], float] = {}

    def count(self, times: Sequence[float], tokens: Sequence[int]) -> None:
        """Count records of everybody, by time stamp (epoch seconds) and output tokens."""
        cells, place = np.unique(np.array(times) // CELL_S, return_inverse=True)
        requests = np.bincount(place)
        known = np.bincount(place, np.maximum(np.array(tokens, dtype=np.float64), 0.0))
        for cell, n, sum_ in zip(cells.tolist(), requests.tolist(), known.tolist(), strict=True):
            _add(self.all, int(cell), n, int(sum_))

    def charge(self, record: Record, *, stops: bool) -> None:
        """Count a record that was logged under an enforcing decision."""
        where = self.enforced[STOPPED if stops else THROTTLED]
        _add(where, int(record.ts // CELL_S), 1, max(record.output_tokens, 0))

    def change(self, change: DecisionEvent) -> None:
        """Note the score of a decision."""
        decision = change.decision
        key = (decision.plane, decision.target)
        self.highest[key] = max(self.highest.get(key, 0.0), decision.score)


def _add(cells: dict[int, list[int]], cell: int, requests: int, tokens: int) -> None:
    sums = cells.setdefault(cell, [0, 0])
    sums[0] += requests
    sums[1] += tokens
