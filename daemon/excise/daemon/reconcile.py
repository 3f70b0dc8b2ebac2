"""The loop that keeps the kernel in agreement with the decisions.

One round at a time, always towards the newest wish: what is decided during a round goes into the
next one together. A failing enforcer is tried again ever more slowly; meanwhile excise observes,
and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field

from excise.daemon.converge import Converger, Outcome, Wish
from excise.daemon.culprits import Culprits
from excise.enforce.base import Witnessed
from excise.errors import EnforceError
from excise.log import Log
from excise.model.view import EnforcerView

#: how often the kernel's generation is compared while nothing is decided
HEAL_S = 0.1
FIRST_RETRY_S = 0.05
LONGEST_RETRY_S = 5.0
#: failures in a row after which a person is called
FALLBACK_AFTER = 4
NOTHING = Outcome(entries=0, changes=0, repaired=False, lapsed=0)


@dataclass(slots=True)
class Reconciler:
    """Runs `converger` towards `wish()`; `on_alarm(code, text)` is told when a person must look."""

    converger: Converger
    wish: Callable[[], Wish]
    executor: Executor
    on_alarm: Callable[[str, str], None]
    log: Log
    culprits: Culprits
    changes: int = 0
    repairs: int = 0
    failures: int = 0
    failing: int = 0
    problem: str = ""
    in_sync: bool = True
    outcome: Outcome = NOTHING
    unmet: str = ""
    _wanted: int = 1
    _tried: int = 0
    _kicked: asyncio.Event = field(default_factory=asyncio.Event)
    _went: asyncio.Condition = field(default_factory=asyncio.Condition)

    def kick(self) -> int:
        """Say that the wish changed; return a ticket for `settled`."""
        self._wanted += 1
        self._kicked.set()
        return self._wanted

    async def settled(self, ticket: int) -> None:
        """Wait until the kernel acknowledged the wish. Raises EnforceError if it did not."""
        async with self._went:
            await self._went.wait_for(lambda: self._tried >= ticket)
        if self.problem:
            raise EnforceError(
                f"decided and stored, but not in the kernel yet: {self.problem};"
                " excise goes on trying, see `excise status`"
            )

    async def run(self, beat: Callable[[], None]) -> None:
        """Reconcile for ever: at once when kicked, and whenever the kernel drifted."""
        while True:
            beat()
            kicked = await self._wait()
            if kicked or self.failing or await self._drifted():
                await self.round()

    async def round(self) -> bool:
        """Make the kernel hold the newest wish; return whether it does."""
        ticket = self._wanted
        loop = asyncio.get_running_loop()
        try:
            outcome, news = await loop.run_in_executor(self.executor, self._converge, self.wish())
        except EnforceError as error:
            self._failed(error)
        else:
            self.culprits.heard(news)
            self._succeeded(outcome)
        async with self._went:
            self._tried = ticket
            self._went.notify_all()
        return not self.problem

    def view(self) -> EnforcerView:
        """Return how the kernel side stands."""
        return EnforcerView(
            backend=self.converger.backend,
            in_sync=self.in_sync and not self.problem,
            entries=self.outcome.entries,
            changes=self.changes,
            repairs=self.repairs,
            failures=self.failures,
            problem=self.problem or self.unmet,
            lapsed=self.outcome.lapsed,
            evicted=self.outcome.evicted,
            audit=self.culprits.view(),
        )

    def _converge(self, wish: Wish) -> tuple[Outcome, Witnessed]:
        return self.converger.converge(wish), self.converger.witnessed()

    def _look(self) -> tuple[bool, Witnessed]:
        return self.converger.drifted(), self.converger.witnessed()

    async def _wait(self) -> bool:
        """Wait for a kick or for the next look; a failing kernel is left alone for longer."""
        pause_s = min(FIRST_RETRY_S * 2.0**self.failing, LONGEST_RETRY_S) if self.failing else 0.0
        if pause_s:
            await asyncio.sleep(pause_s)
        try:
            async with asyncio.timeout(HEAL_S if not pause_s else 0):
                await self._kicked.wait()
        except TimeoutError:
            return False
        self._kicked.clear()
        return True

    async def _drifted(self) -> bool:
        loop = asyncio.get_running_loop()
        try:
            drifted, news = await loop.run_in_executor(self.executor, self._look)
        except EnforceError as error:
            self._failed(error)
            return True
        self.in_sync = not drifted
        self._note_unmet()
        self.culprits.heard(news)
        if not drifted:
            self.culprits.pass_over()
        return drifted

    def _failed(self, error: EnforceError) -> None:
        self.failures += 1
        self.failing += 1
        self.problem = f"observing only: {error}"
        self.log.error("enforce.failed", error=str(error), failures=self.failing)
        if self.failing == FALLBACK_AFTER:
            self.on_alarm("enforce-failed", self.problem)

    def _succeeded(self, outcome: Outcome) -> None:
        if self.failing >= FALLBACK_AFTER:
            self.on_alarm("enforce-recovered", "the kernel takes changes again")
        self.failing, self.problem, self.in_sync = 0, "", True
        self._tell_room(outcome.evicted)
        self.outcome = outcome
        self.changes += outcome.changes
        if outcome.repaired:
            self.repairs += 1
            who = self.culprits.named()
            self.on_alarm("enforce-repaired", f"the kernel's set was changed: {who}; put right")
        if outcome.changes:
            self.log.info("enforce.applied", changes=outcome.changes, entries=outcome.entries)
        self._note_unmet()

    def _note_unmet(self) -> None:
        """Call a person when something only a person can do begins to be lacking."""
        unmet = self.converger.unmet
        if unmet and not self.unmet:
            self.on_alarm("enforce-idle", unmet)
        if self.unmet and not unmet:
            self.on_alarm("enforce-met", "what is in the kernel's sets is enforced now")
        self.unmet = unmet

    def _tell_room(self, evicted: int) -> None:
        """Call a person when the kernel's room is used up, and when there is enough again."""
        if evicted and not self.outcome.evicted:
            text = f"{evicted} decisions, the weakest, found no room in the kernel"
            advice = "raise `kernel.clients` or `kernel.networks`, or lift some"
            self.on_alarm("kernel-full", f"{text}: {advice}")
        elif self.outcome.evicted and not evicted:
            self.on_alarm("kernel-fits", "all decisions are in the kernel again")
