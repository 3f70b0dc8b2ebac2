"""Medians with their spread, rounds that take turns, and tables that read well."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which a share of the values lies (nearest rank)."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def spread(values: Sequence[float], form: str = "{:.2f}") -> str:
    """Return median and quartiles; of fewer than four values their range."""
    if not values:
        return "-"
    low, high = min(values), max(values)
    if len(values) >= 4:
        low, _, high = statistics.quantiles(values, n=4)
    shown = [form.format(v) for v in (statistics.median(values), low, high)]
    return shown[0] if len(values) == 1 else f"{shown[0]} ({shown[1]} to {shown[2]})"


def ratios(one: Sequence[float], other: Sequence[float]) -> list[float]:
    """Return round by round how many times the other one is."""
    return [a / b for a, b in zip(one, other, strict=True)]


def interleaved(
    jobs: Mapping[str, Callable[[], T]], rounds: int, within_s: float = float("inf")
) -> dict[str, list[T]]:
    """Do all jobs in each round, in the reverse order every other round.

    No round begins after `within_s`.
    """
    found: dict[str, list[T]] = {name: [] for name in jobs}
    deadline = time.monotonic() + within_s
    for number in range(rounds):
        order = list(jobs) if number % 2 == 0 else list(reversed(jobs))
        for name in order:
            found[name].append(jobs[name]())
        if time.monotonic() > deadline:
            break
    return found


def show(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, ["-" * w for w in widths], *rows):
        cells = (cell.ljust(w) for cell, w in zip(row, widths, strict=True))
        print("| " + " | ".join(cells) + " |")
    print(flush=True)
