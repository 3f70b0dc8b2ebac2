"""The stream of effects: numbered, kept for a while, followed by any number of readers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from itertools import islice

from excise.model.step import Effect

Numbered = tuple[int, Effect]
#: reads effects with a serial above the first argument from the store, at most so many
Older = Callable[[int, int], Awaitable[Sequence[Numbered]]]
KEPT = 16_384
PAGE = 1_000


class EventStream:
    """Gives out serials and holds the newest effects. A reader that falls behind is ended.

    An effect is numbered when it is made and published once it is stored, so that nobody
    hears of a decision that a crash would take back.
    """

    def __init__(self, first: int, kept: int = KEPT) -> None:
        self._next = first
        self._published = first - 1
        self._ring: deque[Numbered] = deque(maxlen=kept)
        self._news = asyncio.Event()

    @property
    def next_serial(self) -> int:
        """The first serial that was never given out."""
        return self._next

    @property
    def last_serial(self) -> int:
        """Serial of the newest published effect, 0 before the first."""
        return self._published

    def number(self, effects: Iterable[Effect]) -> list[Numbered]:
        """Give each effect the next serial."""
        numbered = list(enumerate(effects, self._next))
        self._next += len(numbered)
        return numbered

    def publish(self, numbered: Sequence[Numbered]) -> None:
        """Hand effects to the readers, in the order of their serials."""
        if numbered:
            self._ring.extend(numbered)
            self._published = numbered[-1][0]
            self._news.set()
            self._news = asyncio.Event()

    async def follow(self, after: int | None, older: Older) -> AsyncIterator[Numbered]:
        """Yield effects with a serial above `after` (from now on if None) until too far behind.

        What the ring no longer holds comes from the store, which keeps decisions only.
        """
        last = self._published if after is None else min(after, self._published)
        while not self._holds(last):
            page = await older(last, PAGE)
            for numbered in page:
                yield numbered
                last = numbered[0]
            if len(page) < PAGE:
                last = max(last, self._first() - 1)
        while True:
            # Taken before looking: what is published between the look and the wait is not missed.
            news = self._news
            if not self._holds(last):
                return
            fresh = self._after(last)
            for numbered in fresh:
                yield numbered
                last = numbered[0]
            if not fresh:
                await news.wait()

    def _first(self) -> int:
        return self._ring[0][0] if self._ring else self._published + 1

    def _holds(self, last: int) -> bool:
        return last >= self._first() - 1

    def _after(self, last: int) -> list[Numbered]:
        # Serials in the ring are consecutive: published in order, each once.
        skip = max(0, last - self._first() + 1)
        return list(islice(self._ring, skip, None))
