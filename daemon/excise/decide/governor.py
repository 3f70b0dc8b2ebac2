"""The governor: bounds on what rules may enforce, however sure they are."""

from __future__ import annotations

from collections import deque

from excise.model.settings import Governor

WINDOW_S = 60.0


class Brake:
    """Counts new enforcing decisions; trips when there are too many, and stays tripped."""

    def __init__(self, limits: Governor) -> None:
        self.limits = limits
        self.tripped = ""
        self._recent: deque[float] = deque()

    def check(self, now: float, enforced: int, active: int) -> str:
        """Return why one more enforcing decision may not be made, "" if it may.

        `enforced` clients are under an enforcing decision already, of `active` within the hour.
        """
        if self.recent(now) >= self.limits.max_new_per_min:
            self.tripped = f"more than {self.limits.max_new_per_min} new decisions in a minute"
        elif self.near(enforced, active):
            self.tripped = (
                f"{enforced} of {active} clients active within the hour are enforced already, "
                f"the most is {self.limits.max_share:.0%}"
            )
        return self.tripped

    def near(self, enforced: int, active: int) -> bool:
        """Whether so many of the active clients may not be enforced."""
        return enforced >= max(self.limits.free, self.limits.max_share * active)

    def recent(self, now: float) -> int:
        """Return how many enforcing decisions were made within the last minute."""
        while self._recent and self._recent[0] <= now - WINDOW_S:
            self._recent.popleft()
        return len(self._recent)

    def count(self, now: float) -> None:
        """Note a new enforcing decision."""
        self._recent.append(now)

    def step_back(self, seconds: float) -> None:
        """Follow a clock that was set back."""
        self._recent = deque(at - seconds for at in self._recent)

    def rearm(self) -> None:
        """Begin anew: the operator has looked."""
        self.tripped = ""
        self._recent.clear()
