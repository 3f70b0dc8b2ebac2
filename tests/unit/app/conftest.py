import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from excise.errors import StoreError
from excise.log import make_log
from excise.model.decision import Action, Decision, Plane


class FakeClock:
    """Two clocks that stand still until they are moved."""

    def __init__(self):
        self.wall_s = 1_000_000.0
        self.monotonic_s = 50.0

    def wall(self):
        return self.wall_s

    def monotonic(self):
        return self.monotonic_s

    def advance(self, seconds):
        self.wall_s += seconds
        self.monotonic_s += seconds


class FakeStore:
    """Keeps batches in a list; fails while `broken`."""

    def __init__(self):
        self.batches = []
        self.settled = []
        self.pruned = 0
        self.broken = False

    def commit(self, *batches):
        if self.broken:
            raise StoreError("cannot write the state database: disk full; check space")
        self.batches += batches

    def settle(self, decisions, ts):
        self.settled.append((list(decisions), ts))

    def events_after(self, serial, limit):
        events = [event for batch in self.batches for event in batch.events]
        return [event for event in events if event[0] > serial][:limit]

    def prune(self, now, keep):
        self.pruned += 1

    @property
    def serials(self):
        return [serial for batch in self.batches for serial, _ in batch.events]


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def fake_store():
    return FakeStore()


@pytest.fixture
def executor():
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def log():
    return make_log(io.StringIO(), as_json=True)


@pytest.fixture
def decision():
    """Make a decision; keywords change it."""
    base = Decision(
        id="d1",
        plane=Plane.NETWORK,
        target="203.0.113.7/32",
        action=Action.DROP,
        tier=None,
        since=100.0,
        until=2_000_000.0,
        score=90.0,
        rules=("volume.pace",),
        reason="too steady",
    )
    return lambda **changes: replace(base, **changes)


@pytest.fixture
def until():
    """Give a coroutine that waits until a condition holds, at most some turns of the loop."""

    async def wait(condition):
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110  # any condition, within a bound
                await asyncio.sleep(0.001)

    return wait
