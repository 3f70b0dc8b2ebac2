"""How long to wait before the next try: longer each time, up to a bound."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_S = 0.5
MOST_S = 60.0


@dataclass(slots=True)
class Backoff:
    """Doubles from half a second to a minute."""

    next_s: float = FIRST_S

    def step(self) -> float:
        """Return how long to wait now."""
        wait_s, self.next_s = self.next_s, min(self.next_s * 2, MOST_S)
        return wait_s

    def reset(self) -> None:
        """Begin anew: it worked."""
        self.next_s = FIRST_S
