"""The roll: which rows stand behind decisions, and which are under evidence."""

from __future__ import annotations

import numpy as np

from excise.decide.cases import Cases
from excise.decide.crowd import Crowd
from excise.decide.docket import Docket
from excise.decide.trials import Trials
from excise.features.interner import Rows
from excise.features.world import World
from excise.model.decision import Decision, Plane
from excise.model.entity import Kind


class Roll:
    """Reads who is under decision; owns nothing."""

    def __init__(
        self, world: World, cases: Cases, docket: Docket, crowd: Crowd, trials: Trials
    ) -> None:
        self._world, self._cases, self._docket = world, cases, docket
        self._crowd, self._trials = crowd, trials

    def locate(self, decision: Decision) -> tuple[Kind, int | None]:
        """Return the entity that a decision's target is, if it has a row."""
        if decision.plane is Plane.ACCOUNT:
            return Kind.ACCOUNT, self._world.accounts.rows.get(decision.target)
        row = self._world.clients.rows.get(decision.target)
        if row is not None:
            return Kind.CLIENT, row
        return Kind.SUBNET, self._world.subnets.rows.get(decision.target)

    def suspects(self) -> dict[Kind, Rows]:
        """Return rows by kind that are enforced, and so say nothing about what is usual."""
        found: dict[Kind, set[int]] = {Kind.CLIENT: set(), Kind.ACCOUNT: set()}
        found[Kind.ACCOUNT].update(self._crowd.held().tolist())
        for decision in self._docket.book.active.values():
            kind, row = self.locate(decision)
            if decision.enforcing and row is not None and kind in found:
                found[kind].add(row)
        found[Kind.USE] = {u for a in found[Kind.ACCOUNT] for u in self._world.uses_of(a)}
        return {kind: np.array(sorted(rows), dtype=np.int64) for kind, rows in found.items()}

    def held(self, kind: Kind) -> Rows:
        """Return rows under evidence or a decision, which should be forgotten last."""
        rows = set(self._cases.dossiers[kind])
        located = map(self.locate, self._docket.book.active.values())
        rows |= {row for of, row in located if of is kind and row is not None}
        if kind is Kind.ACCOUNT:
            rows.update(self._crowd.held().tolist())
            rows.update(self._trials.held().tolist())
        return np.array(sorted(rows), dtype=np.int64)
