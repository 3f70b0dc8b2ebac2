"""Named observations with a verdict: the exit status rests on all of them."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

BOLD, DIM, GREEN, RED, YELLOW, CYAN = "1", "2", "32", "31", "33", "36"


def paint(text: str, colour: str) -> str:
    """Colour for a terminal, plain text for a file."""
    return f"\x1b[{colour}m{text}\x1b[0m" if sys.stdout.isatty() else text


@dataclass
class Checks:
    """What was to be observed, and whether it was."""

    failed: list[str] = field(default_factory=list)
    passed: int = 0

    def that(self, name: str, held: bool, seen: str = "") -> None:
        """Record and print one observation."""
        if held:
            self.passed += 1
        else:
            self.failed.append(name)
        mark = paint("✓", GREEN) if held else paint("✗", RED)
        print(f"  {mark} {name}" + (paint(f"  ({seen})", DIM) if seen else ""), flush=True)

    @property
    def all_held(self) -> bool:
        return self.passed > 0 and not self.failed
