"""Nothing of ours may fail or delay somebody else's request: every fault ends here, counted."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
SPEAK_EVERY_S = 60.0


class Complaints:
    """Counts what went wrong by reason and says so on standard error, at a bounded rate."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        say: Callable[[str], object] | None = None,
    ) -> None:
        self._clock, self._say = clock, say or _to_stderr
        self._next = clock()
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}

    def add(self, reason: str) -> None:
        """Count one; the first is told at once, later ones together once a minute."""
        if self._pid != os.getpid():
            self._begin()  # a forked worker: a thread that stayed behind may hold the lock
        with self._lock:
            self._counts[reason] = self._counts.get(reason, 0) + 1
        self.speak()

    def speak(self) -> None:
        """Say what has been counted, if it is time to."""
        with self._lock:
            if not self._counts or self._clock() < self._next:
                return
            told, self._counts = self._counts, {}
            self._next = self._clock() + SPEAK_EVERY_S
        self._say("; ".join(f"{reason} ({count} times)" for reason, count in told.items()))


def harmless(
    complaints: Complaints, default: T, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Return what a call of ours returns; if it raises, count that and return `default`."""
    try:
        return call(*args, **kwargs)
    except Exception as error:
        complaints.add(f"defect in {call.__qualname__}: {type(error).__name__}")
        return default


def _to_stderr(text: str) -> None:
    stream = sys.stderr
    if stream is not None:
        stream.write(f"excise tap: {text}\n")
