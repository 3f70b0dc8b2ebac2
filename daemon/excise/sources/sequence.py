"""Gaps in a counter that the lines carry: nginx numbers the requests of each connection. Pure.

Lines with the keys `connection` and `connection_requests` (nginx's `$connection` and
`$connection_requests`) tell how many of their kind there are. They come when a request ends, in
any order (HTTP/2), so a connection is judged once it has been silent for a while.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

#: a connection is judged so long after its last line: longer than most answers take
SETTLE_S = 120.0
MOST_CONNECTIONS = 8192
_CONNECTION = re.compile(rb'"connection": ?"?([0-9]{1,18})')
_REQUESTS = re.compile(rb'"connection_requests": ?"?([0-9]{1,9})')


@dataclass(slots=True)
class _Connection:
    before: int
    highest: int
    seen: int
    last_s: float

    @property
    def missing(self) -> int:
        return max(0, self.highest - self.before - self.seen)


class Sequence:
    """Counts the lines that are missing, at least."""

    def __init__(self) -> None:
        self._open: OrderedDict[int, _Connection] = OrderedDict()
        self._newest = -1

    def take(self, lines: Iterable[bytes], now_s: float) -> int:
        """Note lines; return how many are now known to be missing that were not before."""
        for line in lines:
            connection, requests = _CONNECTION.search(line), _REQUESTS.search(line)
            if connection and requests:
                self._note(int(connection[1]), int(requests[1]), now_s)
        return self.settle(now_s)

    def settle(self, now_s: float) -> int:
        """Judge the connections that have been silent long enough; return what they miss."""
        missing = 0
        while self._open:
            number, oldest = next(iter(self._open.items()))
            if now_s - oldest.last_s < SETTLE_S and len(self._open) <= MOST_CONNECTIONS:
                break
            missing += oldest.missing
            del self._open[number]
        return missing

    def _note(self, number: int, requests: int, now_s: float) -> None:
        known = self._open.get(number)
        if known is None:
            # What an older connection had before its first line here, was before our time.
            before = 0 if number > self._newest >= 0 else requests - 1
            known = self._open[number] = _Connection(before, 0, 0, now_s)
            self._newest = max(self._newest, number)
        known.highest = max(known.highest, requests)
        known.seen += 1
        known.last_s = now_s
        self._open.move_to_end(number)
