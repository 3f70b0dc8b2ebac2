"""A thread that makes lines and delivers them, so that no request waits for either."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue

from excise.gateways.guard import Complaints, harmless
from excise.gateways.outlet import LostError, Outlet

#: work that may wait; what comes on top is dropped and counted
MOST_TASKS = 10_000
MOST_BYTES = 64 * 1024 * 1024
CLOSING_S = 2.0

#: makes a line with its newline, or does something else and returns None
Task = Callable[[], bytes | None]


class Courier:
    """Works on tasks in their order, one thread per process, started by the first task."""

    def __init__(self, outlet: Outlet, complaints: Complaints) -> None:
        self._outlet, self._complaints = outlet, complaints
        self._begin()
        atexit.register(self.close)

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._queue: SimpleQueue[tuple[Task, int] | None] = SimpleQueue()
        self._waiting = self._waiting_bytes = 0
        self._thread: threading.Thread | None = None

    def put(self, task: Task, size_bytes: int = 0) -> bool:
        """Take a task that holds on to so many bytes; False if there is no room. Never waits."""
        if self._pid != os.getpid():
            self._begin()  # a forked worker: the thread stayed with the parent
        with self._lock:
            room = self._waiting < MOST_TASKS and self._waiting_bytes + size_bytes <= MOST_BYTES
            if room:
                self._waiting += 1
                self._waiting_bytes += size_bytes
                if self._thread is None:
                    self._thread = threading.Thread(target=self._work, name="excise", daemon=True)
                    self._thread.start()
        if not room:
            self._complaints.add("too much waits to be written")
            return False
        self._queue.put((task, size_bytes))
        return True

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            task, size_bytes = item
            harmless(self._complaints, None, self._do, task)
            self._complaints.speak()
            with self._lock:
                self._waiting -= 1
                self._waiting_bytes -= size_bytes

    def _do(self, task: Task) -> None:
        line = task()
        if line is None:
            return
        try:
            self._outlet.write(line)
        except LostError as lost:
            self._complaints.add(f"a record was lost: {lost}")

    def close(self) -> None:
        """Finish what waits, within a bounded time."""
        atexit.unregister(self.close)
        if self._thread is not None and self._pid == os.getpid():
            self._queue.put(None)
            self._thread.join(CLOSING_S)
            self._thread = None
        self._outlet.close()
