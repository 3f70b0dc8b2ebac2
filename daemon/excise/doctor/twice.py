"""Whether two inputs tell of the same requests, which would then count twice. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from excise.doctor.check import Check, State
from excise.doctor.sample import Sample
from excise.model.record import Record

#: two programs write down the end of one request so far apart at most
APART_S = 1.0
#: fewer requests in the time that both tell of say nothing
LEAST = 5
#: share of the requests of the smaller that the other tells of too
SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many requests of `of` two samples have in common, and by what that was told."""

    common: int
    of: int
    by: str

    @property
    def same(self) -> bool:
        """Whether they tell of the same requests."""
        return self.of >= LEAST and self.common >= SHARE * self.of


def check_twice(samples: Sequence[Sample]) -> Iterator[Check]:
    """Warn of each pair of inputs that tell of the same requests."""
    for one, other in combinations([s for s in samples if s.records], 2):
        found = overlap(one.records, other.records)
        if found.same:
            yield Check(
                "counted twice",
                State.WARN,
                f"{one.name} and {other.name} tell of the same requests: {found.common:,} of"
                f" {found.of:,} agree in {found.by}",
                "each request counts twice so: keep the input that tells more, drop the other",
            )


def overlap(one: Sequence[Record], other: Sequence[Record]) -> Overlap:
    """Return what two samples have in common: by request ids where these meet, else by clients."""
    ids = _by_id(one, other)
    return ids if ids.same else _by_client(one, other)


def _by_id(one: Iterable[Record], other: Iterable[Record]) -> Overlap:
    ours = {r.request_id for r in one if r.request_id}
    theirs = {r.request_id for r in other if r.request_id}
    # Samples reach back differently far: what is asked is whether the smaller is in the larger.
    return Overlap(len(ours & theirs), min(len(ours), len(theirs)), "request_id")


def _by_client(one: Sequence[Record], other: Sequence[Record]) -> Overlap:
    """Pair requests of the same client that end at about the same time, each at most once.

    Where every request tells its path, that has to agree as well.
    """
    begin = max(min(r.ts for r in one), min(r.ts for r in other)) - APART_S
    end = min(max(r.ts for r in one), max(r.ts for r in other)) + APART_S
    ours = [r for r in one if begin <= r.ts <= end]
    theirs = [r for r in other if begin <= r.ts <= end]
    paths = all(r.path for r in (*ours, *theirs))
    free: dict[tuple[str, str], list[float]] = defaultdict(list)
    for record in sorted(theirs, key=lambda r: r.ts):
        free[record.client, record.path if paths else ""].append(record.ts)
    in_order = sorted(ours, key=lambda r: r.ts)
    common = sum(_take(free[r.client, r.path if paths else ""], r.ts) for r in in_order)
    return Overlap(common, min(len(ours), len(theirs)), "client and time")


def _take(times: list[float], ts: float) -> bool:
    """Take the first time that is near enough out of a sorted list; whether there was one."""
    at = bisect_left(times, ts - APART_S)
    if at < len(times) and times[at] <= ts + APART_S:
        del times[at]
        return True
    return False
