"""Decisions as the daemon told them, kernel elements as the kernel told them, and how they meet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from demo.kernel import Told

ENFORCING = ("throttle", "drop", "deny")
SETTLE_S = 3.0  # a bucket holds a second of its rate, and what was under way arrives still
LEAST_WINDOW_S = 4.0


@dataclass(frozen=True)
class Verdict:
    """One line of the decision stream."""

    ts: float
    op: str
    plane: str
    target: str
    action: str
    tier: str
    score: float
    rules: tuple[str, ...]
    reason: str
    campaign: str = ""

    @classmethod
    def read(cls, line: dict[str, Any]) -> Verdict:
        return cls(
            ts=line["ts"],
            op=line["op"],
            plane=line["plane"],
            target=line["target"],
            action=line["action"],
            tier=line.get("tier", ""),
            score=line["score"],
            rules=tuple(line["rules"]),
            reason=line["reason"],
            campaign=line.get("campaign", ""),
        )

    @property
    def enforcing(self) -> bool:
        return self.action in ENFORCING and self.op not in {"lift", "expire"}

    @property
    def name(self) -> str:
        return f"{self.action} {self.tier}".strip()


def covers(target: str, address: str) -> bool:
    """Whether a CIDR or address covers an address; an account covers none."""
    try:
        return ip_address(address) in ip_network(target)
    except ValueError:
        return False


def members(target: str, addresses: Iterable[str]) -> list[str]:
    return [a for a in addresses if covers(target, a)]


def in_kernel(verdict: Verdict, told: Sequence[Told]) -> float | None:
    """Return when the kernel first reported the verdict's target after it was decided."""
    element = verdict.target.removesuffix("/32")
    times = [t.ts for t in told if t.op == "add" and t.element == element and t.ts >= verdict.ts]
    return min(times, default=None)


def covered(
    verdicts: Iterable[Verdict], addresses: Sequence[str], actions: Sequence[str]
) -> set[str]:
    """Return the addresses that some verdict of these actions has covered."""
    return {
        a
        for v in verdicts
        if v.enforcing and v.plane == "network" and v.action in actions
        for a in members(v.target, addresses)
    }


@dataclass(frozen=True)
class Window:
    """A span (epoch seconds) in which one target stood on one throttle tier, undisturbed."""

    target: str
    tier: str
    start: float
    end: float
    addresses: tuple[str, ...]


def windows(verdicts: Sequence[Verdict], addresses: Sequence[str], now: float) -> list[Window]:
    """Return the spans long enough to measure a rate in, without their first seconds.

    A span ends when anything else is decided that covers one of the target's addresses.
    """
    network = [v for v in verdicts if v.plane == "network" and v.op != "renew"]
    found = []
    for place, v in enumerate(network):
        mine = tuple(members(v.target, addresses))
        if not v.enforcing or v.action != "throttle" or not mine:
            continue
        later = (n.ts for n in network[place + 1 :] if members(n.target, mine))
        start, end = v.ts + SETTLE_S, min(later, default=now)
        if end - start >= LEAST_WINDOW_S:
            found.append(Window(v.target, v.tier, start, end, mine))
    return found
