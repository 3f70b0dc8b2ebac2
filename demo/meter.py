"""Rates and latencies out of the clients' own reports."""

from __future__ import annotations

import statistics
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

Seconds = tuple[float, float]


@dataclass(frozen=True)
class Report:
    """What one address did in the second that ended at `ts`."""

    ts: float
    name: str
    address: str
    done: int
    failed: int
    bytes: int
    latencies_s: tuple[float, ...] = ()

    @classmethod
    def read(cls, line: dict[str, Any]) -> Report:
        return cls(**line | {"latencies_s": tuple(line["latencies_s"])})


@dataclass(frozen=True)
class Sum:
    """What some addresses did over a span of time."""

    done: int
    failed: int
    bytes_s: float
    requests_s: float
    median_s: float | None


@dataclass
class Meter:
    """All reports so far."""

    reports: list[Report] = field(default_factory=list)

    def take(self, lines: list[dict[str, Any]]) -> None:
        self.reports.extend(Report.read(line) for line in lines)

    def over(
        self, span: Seconds, name: str | None = None, addresses: Collection[str] | None = None
    ) -> Sum:
        """Sum the reports of the seconds that lie wholly within `span` (epoch seconds).

        Every address reports every second, also that nothing happened.
        """
        start, end = span
        chosen = [
            r
            for r in self.reports
            if start <= r.ts - 1.0 and r.ts <= end
            if name is None or r.name == name
            if addresses is None or r.address in addresses
        ]
        seconds = max(len(chosen) / max(len({r.address for r in chosen}), 1), 1.0)
        latencies = [x for r in chosen for x in r.latencies_s]
        return Sum(
            done=sum(r.done for r in chosen),
            failed=sum(r.failed for r in chosen),
            bytes_s=sum(r.bytes for r in chosen) / seconds,
            requests_s=sum(r.done for r in chosen) / seconds,
            median_s=statistics.median(latencies) if latencies else None,
        )


def rate(bytes_s: float) -> str:
    """Bytes per second for a person."""
    for unit in ("B/s", "KiB/s"):
        if bytes_s < 1024:
            return f"{bytes_s:.0f} {unit}"
        bytes_s /= 1024
    return f"{bytes_s:.1f} MiB/s"
