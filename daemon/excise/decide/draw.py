"""The draw: which accounts a trial slows, and with whom the rest are compared."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from excise.campaigns.accounts import active
from excise.campaigns.groups import Groups
from excise.campaigns.marks import WINDOWS, Marks
from excise.campaigns.trial import Arm, strata
from excise.decide.crowd import Crowd
from excise.decide.guard import parse_network
from excise.features.conduct import DAY_S
from excise.features.interner import Rows
from excise.features.world import World
from excise.model.decision import Origin, Plane
from excise.model.entity import Kind

#: most controls that are compared: a fair sample of so many says what is usual
SAMPLE = 8_192


class Draw:
    """Chooses accounts and counts their requests; holds nothing but who was let go for good."""

    def __init__(self, world: World, crowd: Crowd, marks: Marks) -> None:
        self._world, self._crowd, self._marks = world, crowd, marks
        #: accounts that the operator took out of a trial: they are in none again
        self.released: set[int] = set()

    # Whom to slow

    def candidates(self, groups: Groups, now: float) -> set[int]:
        """Return accounts of the day that are used neither like people's nor by an organisation.

        Who is new since the first window is none: nobody knows its usual load.
        """
        accounts = active(self._world, now)
        first = self._world.tables[Kind.ACCOUNT].first[accounts.rows]
        usable = ~accounts.keyed & ~accounts.honest & (first < self._marks.since(WINDOWS))
        return set(accounts.rows[usable].tolist()).difference(groups.honest.tolist())

    def split(
        self, members: Iterable[int], most: int, key: str, now: float
    ) -> tuple[list[int], list[int]]:
        """Deal accounts into at most so many to be slowed, and the rest.

        By lot: a hash of the name under `key`, so the same again from the same log. Who is bound
        or safe is in neither.
        """
        lots = {a: lot(key, self._world.accounts.name(a)) for a in members if not self.bound(a)}
        slowed: list[int] = []
        rest: list[int] = []
        for account in sorted(lots, key=lambda a: (lots[a], a)):
            if len(slowed) >= most:
                rest.append(account)
            elif not self.safe(account, now):
                slowed.append(account)
        return slowed, rest

    def bound(self, account: int) -> bool:
        """Whether an account is enforced, or an operator, the configuration or a trial has it."""
        name = self._world.accounts.name(account)
        decision = self._crowd.docket.book.get(Plane.ACCOUNT, name)
        if decision is not None and (decision.enforcing or decision.origin is not Origin.RULES):
            return True
        return account in self.released or self._crowd.tenants.declares(name)

    def safe(self, account: int, now: float) -> bool:
        """Whether an account is a declared customer's, or comes by a network that is allowed."""
        if self._crowd.tenants.declares(self._world.accounts.name(account)):
            return True
        cases, guard = self._crowd.cases, self._crowd.docket.guard
        clients = {c for use in self._world.uses_of(account) for c in cases.clients_of(use)}
        networks = [parse_network(self._world.clients.name(c)) for c in sorted(clients)]
        return any(guard.covering(n, now) or self._crowd.tenants.around(n) for n in networks)

    def of_the_day(self, now: float) -> int:
        """Return how many accounts were answered within a day."""
        return int(np.count_nonzero(self._world.conduct.last > now - DAY_S))

    # With whom to compare

    def arm(self, accounts: Sequence[int] | Rows, windows: int) -> Arm:
        """Return what accounts asked in the last windows; the one past `WINDOWS` is the trial's."""
        rows = np.array(accounts, dtype=np.int64)
        counted = self._marks.requests(rows, windows)
        during = counted[:, WINDOWS] if windows > WINDOWS else np.zeros(len(rows))
        return Arm(counted[:, :WINDOWS], during, strata(self._marks.earlier(rows, windows)))

    def controls(self, but: Iterable[int], windows: int) -> Arm:
        """Return accounts in no campaign, here since before the windows, whom nothing slows."""
        used = self._world.used(Kind.ACCOUNT)
        first = self._world.tables[Kind.ACCOUNT].first[:used]
        free = (first > 0) & (first < self._marks.since(windows))
        free[[0, *but]] = False
        for campaign in self._crowd.register.campaigns.values():
            free[list(campaign.accounts)] = False
        for (plane, target), decision in self._crowd.docket.book.active.items():
            row = self._world.accounts.rows.get(target)
            if plane is Plane.ACCOUNT and decision.enforcing and row is not None:
                free[row] = False
        rows = np.flatnonzero(free)
        rows = rows[self._marks.earlier(rows, windows) > 0]
        # Rows are given out in the order of arrival, so every k-th is fair.
        return self.arm(rows[:: max(1, len(rows) // SAMPLE)], windows)


def lot(key: str, name: str) -> int:
    """Return a name's lot under a key of any length, 0 to 2^64 - 1."""
    digest = hashlib.blake2b(key.encode(), digest_size=32).digest()
    return int.from_bytes(hashlib.blake2b(name.encode(), key=digest, digest_size=8).digest(), "big")
