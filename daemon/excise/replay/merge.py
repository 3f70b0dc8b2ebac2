"""Logs that overlap in time, as one: what several hosts wrote, in the order it happened.

Memory holds a chunk of every log that is being read, and of the others the time of their first
record. Within a log its own order stands: lines are written as requests end, and a single line
with an absurd time must not hold up all that follow.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np

from excise.model.record import Record
from excise.replay.archive import STDIN, Chain
from excise.replay.reading import CHUNK_BYTES, Reader

#: raw bytes in memory, shared by all logs; none gets less than the second
SHARED_BYTES = 16 << 20
LEAST_BYTES = 1 << 16
#: so many records have to agree on a later time before it is believed (features/clock.py)
WITNESSES = 4
JUMP_S = 3600.0


@dataclass(slots=True)
class Feed:
    """One chain, read as far as is needed."""

    chunks: Iterator[list[Record]]
    records: list[Record] = field(default_factory=list)
    keys: list[float] = field(default_factory=list)
    at: int = 0
    carry: float = -inf

    def fill(self) -> bool:
        """Read on once everything is taken; return whether there is anything to take."""
        while self.at == len(self.records):
            records = next(self.chunks, None)
            if records is None:
                return False
            self.records, self.at = records, 0
            self.keys, self.carry = order_keys([r.ts for r in records], self.carry)
        return True

    def take(self, limit: float) -> tuple[list[Record], list[float]]:
        """Take what comes up to a moment, included."""
        begin, self.at = self.at, bisect_right(self.keys, limit, self.at)
        return self.records[begin : self.at], self.keys[begin : self.at]


def in_time_order(chains: Sequence[Chain], reader: Reader) -> Iterator[list[Record]]:
    """Yield the records of all chains, a batch at a time. Raises SourceError.

    One chain is yielded as it is.
    """
    if len(chains) == 1:
        yield from reader.records(chains[0])
        return
    share = max(LEAST_BYTES, min(CHUNK_BYTES, SHARED_BYTES // max(1, len(chains))))
    reader = replace(reader, chunk_bytes=share)
    waiting = sorted(((_begins(c, reader), n) for n, c in enumerate(chains)), reverse=True)
    active: list[Feed] = []
    while active or waiting:
        limit = min((feed.keys[-1] for feed in active), default=-inf)
        if waiting and (not active or waiting[-1][0] <= limit):
            feed = Feed(reader.records(chains[waiting.pop()[1]]))
            active += [feed] if feed.fill() else []
            continue
        yield _merged([feed.take(limit) for feed in active])
        active = [feed for feed in active if feed.fill()]


def order_keys(stamps: Sequence[float], carry: float) -> tuple[list[float], float]:
    """Return times that never fall, by which a log's records keep their order, and the newest.

    A time counts once the records after it agree; the last few of a chunk, which cannot be
    checked, count unless they leap ahead. `carry` is the newest time of the chunk before.
    """
    times = np.array(stamps, dtype=np.float64)
    least = times.copy()
    for ahead in range(1, min(WITNESSES, len(times))):
        least[:-ahead] = np.minimum(least[:-ahead], times[ahead:])
    keys = np.maximum.accumulate(np.maximum(least, carry))
    sure = max(0, len(times) - WITNESSES + 1)
    newest = float(keys[sure - 1]) if sure else carry
    if newest > -inf:
        keys[sure:][keys[sure:] > newest + JUMP_S] = newest
    return np.maximum.accumulate(keys).tolist(), newest


def _begins(chain: Chain, reader: Reader) -> float:
    """Return when a chain begins, -inf where that is not known without reading on."""
    if STDIN in chain.files:
        return -inf
    peek = replace(reader, on_decoded=lambda *_: None, chunk_bytes=LEAST_BYTES)
    records = next(peek.records(chain), [])
    return order_keys([r.ts for r in records], -inf)[0][0] if records else -inf


def _merged(parts: Sequence[tuple[list[Record], list[float]]]) -> list[Record]:
    some = [part for part in parts if part[0]]
    if len(some) == 1:
        return some[0][0]
    records = [record for part, _ in some for record in part]
    keys = [key for _, part in some for key in part]
    return [records[n] for n in sorted(range(len(keys)), key=keys.__getitem__)]
