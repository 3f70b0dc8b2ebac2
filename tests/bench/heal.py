"""How soon the kernel is put right after somebody else rewrote it, while decisions come in.

The daemon's own loop (Reconciler, Converger, Nftables) runs in a thread, and gets a decision
every twentieth of a second. From just before nft(8) is started to meddle, the time is taken until
nft lists the same tables again and every set counts at least the elements it had; every some
hundredths of a second somebody looks. Afterwards all elements are read back and compared with
all decisions.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from demo.world import WorldError
from tests.bench import plane, stats
from tests.bench.others import COUNT, run
from tests.bench.places import namespace

from excise.daemon.converge import Converger
from excise.daemon.reconcile import Reconciler
from excise.decide.span import Span, parse_span
from excise.enforce.nft import Nftables
from excise.enforce.nft_socket import NftSocket
from excise.enforce.nft_wire import Message, Msg, parse
from excise.log import make_log
from excise.model.decision import Decision, Op

PRESENT = (100, 100_000)
REPETITIONS = 20
EVERY_S = 0.05
WITHIN_S = 20.0
#: a set that still grows can show an element twice and another not at all
READS = 4
KINDS = {
    "flush ruleset": "flush ruleset",
    "delete table": "delete table ip excise",
    "delete chain": "delete chain ip excise pre",
    "flush chain": "flush chain ip excise inbound",
    "insert rule": "insert rule ip excise pre accept",
    "flush set": "flush set ip excise block",
}


class Loop:
    """The daemon's loop over the kernel, in a thread, with decisions coming in."""

    def __init__(self, where: str, decisions: list[Decision]) -> None:
        self.nft = Nftables(netns=where)
        self.rounds = plane.Rounds(Converger(self.nft), decisions)
        self.targets = {parse_span(d.target) for d in decisions}
        self.alarms: list[str] = []
        self.added = 0
        self._executor = ThreadPoolExecutor(1)
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self._stop = asyncio.Event()
        self._reconciler: Reconciler | None = None

    def start(self) -> None:
        """Start, and wait until everything is in the kernel."""
        self._thread.start()
        if not self._ready.wait(60.0):
            raise WorldError("the first round did not end within a minute")

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._executor.shutdown()
        self.nft.close(keep=False)

    def lost(self) -> int:
        """Return how many decisions the kernel does not hold once it acknowledged them."""
        wanted = asyncio.run_coroutine_threadsafe(self._settled(), self._loop).result()
        missing: set[Span] = set()
        for _ in range(READS):
            missing = wanted - {e.span for e in self.nft.read()}
            if not missing:
                break
        return len(missing)

    async def _settled(self) -> set[Span]:
        assert self._reconciler is not None
        wanted = set(self.targets)
        await self._reconciler.settled(self._reconciler.kick())
        return wanted

    async def _run(self) -> None:
        reconciler = Reconciler(
            converger=self.rounds.converger,
            wish=self.rounds.wish,
            executor=self._executor,
            on_alarm=lambda code, _text: self.alarms.append(code),
            log=make_log(level="error"),
        )
        self._reconciler = reconciler
        running = asyncio.create_task(reconciler.run(lambda: None))
        await reconciler.settled(reconciler.kick())
        self._ready.set()
        while not self._stop.is_set():
            await asyncio.sleep(EVERY_S)
            single = plane.host(self.added, plane.APART)
            self.rounds.note(Op.ADD, plane.decision(single, until=time.time() + plane.HOUR_S))
            self.targets.add(single)
            self.added += 1
            reconciler.kick()
        running.cancel()


class Watch:
    """What somebody else sees of the tables."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.socket = NftSocket(where)
        self.listing = self.list()

    def list(self) -> str:
        return run(self.where, "nft", "-t", "-s", "list", "ruleset")

    def counts(self) -> dict[tuple[int, bytes], int]:
        """Return how many elements each set has."""
        replies = self.socket.ask(Message(Msg.GETSET, 0, b""))
        told = [(r.family, parse(r.payload)) for r in replies]
        return {(f, x[2]): int.from_bytes(x.get(COUNT, b""), "big") for f, x in told}

    def until_repaired(self, before: dict[tuple[int, bytes], int]) -> bool:
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline:
            if self.list() == self.listing:
                now = self.counts()
                if all(now.get(name, 0) >= count for name, count in before.items()):
                    return True
        return False


def meddle(watch: Watch, loop: Loop, script: str) -> tuple[float | None, int]:
    """Return the seconds until it was put right, None: not in time; and what was lost."""
    before = watch.counts()
    begun = time.perf_counter()
    run(watch.where, "nft", script)
    repaired = watch.until_repaired(before)
    took = time.perf_counter() - begun
    return (took if repaired else None), loop.lost()


@contextmanager
def looping(present: int) -> Iterator[tuple[Loop, Watch]]:
    until = time.time() + plane.HOUR_S
    decisions = [plane.decision(plane.host(n), until=until) for n in range(present)]
    decisions += [plane.decision(plane.network(n), until=until) for n in range(present // 100)]
    with namespace() as where:
        loop = Loop(where, decisions)
        loop.start()
        watch = Watch(where)
        try:
            yield loop, watch
        finally:
            loop.stop()
            watch.socket.close()


def measure(present: int) -> list[list[str]]:
    taken: dict[str, list[tuple[float | None, int]]] = {kind: [] for kind in KINDS}
    with looping(present) as (loop, watch):
        for _ in range(REPETITIONS):
            for kind, script in KINDS.items():
                taken[kind].append(meddle(watch, loop, script))
        print(f"{present:,} present: {loop.added:,} decisions came in meanwhile")
    rows = []
    for kind, found in taken.items():
        seconds = [t for t, _ in found if t is not None]
        late = len(found) - len(seconds)
        shown = [stats.spread([s * 1e3 for s in seconds], "{:.0f}")]
        shown.append(f"{max(seconds, default=0.0) * 1e3:.0f}")
        rows.append([f"{present:,}", kind, *shown, str(late), str(sum(n for _, n in found))])
    return rows


def main() -> int:
    """Run it; status 1 where namespaces cannot be made."""
    head = ("present", "meddling", "repaired after ms", "worst", "never", "lost")
    try:
        for present in PRESENT:
            stats.show(head, measure(present))
    except WorldError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
