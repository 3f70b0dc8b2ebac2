import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from excise.api.tally import Tally
from excise.config import Backend, Config
from excise.daemon.clock import EngineTime
from excise.daemon.converge import Converger
from excise.daemon.core import Core
from excise.daemon.culprits import Culprits
from excise.daemon.ledger import Ledger
from excise.daemon.reconcile import Reconciler
from excise.daemon.roll import Roll
from excise.daemon.stream import EventStream
from excise.enforce.dryrun import DryRun
from excise.engine import Engine
from excise.errors import StoreError
from excise.log import make_log
from excise.model.decision import Action, Decision, Plane, Posture
from excise.model.record import Record
from excise.rulecheck import load_rules


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


RULE = """\
id: {family}.many
about: Fires early, for tests
family: {family}
kind: client
maturity: stable
weight: 60
half_life: 30m
when:
  - {{feature: {feature}, above: {above}}}
hits_also: Anything at all; this rule is for tests alone.
references: [https://example.org/report]
runbook: Look at it with excise explain, then lift it.
blind_spots: Everything slower.
tests:
  - name: many requests
    input:
      - {{every: 1s, count: 60, record: {{client: 203.0.113.7, output_tokens: 4000}}}}
    fires: 203.0.113.7/32
  - name: one request
    input:
      - {{every: 1s, count: 1, record: {{client: 203.0.113.8, output_tokens: 7}}}}
"""


@pytest.fixture
def rules(tmp_path):
    """A directory of two rules of two families, that fire at the third and fifth request."""
    for family, feature, above in (("volume", "total", 2), ("shape", "output_tokens_24h", 17_000)):
        path = tmp_path / "rules" / family / "many.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(RULE.format(family=family, feature=feature, above=above))
    return tmp_path / "rules"


@pytest.fixture
def rulebook(rules):
    book, errors = load_rules([rules])
    assert errors == []
    return book


@pytest.fixture
def requests():
    """Make records of a client that harvests, one each ten seconds."""

    def make(count, client="203.0.113.7", start=1_750_000_000.0):
        return [
            Record(ts=start + 10.0 * n, client=client, input_tokens=90, output_tokens=4000)
            for n in range(count)
        ]

    return make


@pytest.fixture
def core(rulebook, clock, fake_store, executor, log):
    """A core on a real engine, a fake store and no kernel."""
    config = Config(posture=Posture.ENFORCE, enforcer=Backend.DRY_RUN)
    engine = Engine(config.settings(), rulebook)

    def alarm(code, text):
        made.alarm(code, text)

    def wish():
        return made.wish()

    converger = Converger(DryRun(clock.wall))
    culprits = Culprits(log, clock.wall)
    reconciler = Reconciler(converger, wish, executor, alarm, log, culprits)
    ledger = Ledger(fake_store, EventStream(1), clock, executor, engine.decisions, alarm)
    made = Core(engine, ledger, reconciler, EngineTime(clock), Tally(), log, config, Roll([]))
    return made


@pytest.fixture
def turning(core):
    """Run a story while the core's ledger and reconciler turn."""

    def run(story):
        async def both():
            async with asyncio.TaskGroup() as group:
                loops = [
                    group.create_task(core.ledger.run(lambda: None)),
                    group.create_task(core.reconciler.run(lambda: None)),
                ]
                result = await story()
                for loop in loops:
                    loop.cancel()
            return result

        return asyncio.run(both())

    return run
