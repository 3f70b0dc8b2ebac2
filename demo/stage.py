"""Everything that can be seen of a run, kept up to date and printed as it happens."""

from __future__ import annotations

import time
from collections.abc import Callable

from demo.checks import BOLD, CYAN, DIM, RED, YELLOW, paint
from demo.daemon import Daemon
from demo.kernel import Told
from demo.meter import Meter, rate
from demo.shapes import HARVESTER, HONEST, shape_of
from demo.tail import Tail
from demo.verdicts import Verdict, members
from demo.world import Process, World, WorldError

STEP_S = 0.1
ROW_EVERY_S = 2.0
ROW_SPAN_S = 3.0


class Stage:
    """The run as it goes: reports of clients, verdicts, kernel elements, scores."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.meter = Meter()
        self.verdicts: list[Verdict] = []
        self.told: list[Told] = []
        self.scores: list[tuple[float, dict[str, float]]] = []
        self.daemon: Daemon | None = None
        self.began = time.time()
        self._clients = [Tail(world.path(f"{name}.out")) for name in ("honest", "harvester")]
        self._events = Tail(world.path("events.out"))
        self._kernel = Tail(world.path("kernel.out"))
        self._next_row = 0.0

    def say(self, text: str, colour: str = "") -> None:
        clock = paint(f"[{time.time() - self.began:5.1f}s]", DIM)
        print(f"{clock} {paint(text, colour) if colour else text}", flush=True)

    def title(self, text: str) -> None:
        print(flush=True)
        self.say(text, BOLD)

    def wait(self, seen: Callable[[], bool], within_s: float) -> bool:
        """Look until it is seen; False when the deadline comes first."""
        deadline = time.time() + within_s
        while True:
            self.look()
            if seen():
                return True
            if time.time() > deadline:
                return False
            time.sleep(STEP_S)

    def look(self) -> None:
        """Take in what is new. Raises WorldError when a process has died."""
        for process in self.world.processes:
            self._alive(process)
        for tail in self._clients:
            self.meter.take(tail.new())
        self.told += [Told(**line) for line in self._kernel.new()]
        for line in self._events.new():
            if "op" in line:
                self._verdict(Verdict.read(line))
        if time.time() >= self._next_row:
            self._next_row = time.time() + ROW_EVERY_S
            self._row()

    def _alive(self, process: Process) -> None:
        if not process.alive():
            raise WorldError(f"{process.name} ended: {self.world.complaint(process.name)}")

    def _verdict(self, verdict: Verdict) -> None:
        self.verdicts.append(verdict)
        if verdict.op == "renew" or verdict.plane != "network":
            return
        colour = {"drop": RED, "throttle": YELLOW}.get(verdict.action, CYAN)
        rules = ", ".join(verdict.rules)
        self.say(
            f"excise: {verdict.op} {verdict.target} {paint(verdict.name, colour)}"
            f" at score {verdict.score:.0f} ({rules})"
        )

    def _row(self) -> None:
        now = time.time()
        span = (now - ROW_SPAN_S, now)
        honest = [f"{s.name} {self.meter.over(span, s.name).requests_s:3.1f}/s" for s in HONEST]
        harvest = self.meter.over(span, addresses=HARVESTER.addresses)
        text = "  ".join(honest)
        if any(r.name == HARVESTER.name for r in self.meter.reports):
            flow = rate(harvest.bytes_s)
            text += f" │ harvester {harvest.requests_s:4.1f}/s {flow:>10}"
        if self.daemon is not None:
            text += f" │ {self._score(now)}"
        self.say(text)

    def _score(self, now: float) -> str:
        assert self.daemon is not None
        listed = self.daemon.get("/v1/sources?kind=client&limit=100")["sources"]
        scores = {s["name"].removesuffix("/32"): float(s["score"]) for s in listed}
        self.scores.append((now, scores))
        top = {"honest": 0.0, "harvester": 0.0}
        for address, score in scores.items():
            kind = "harvester" if shape_of(address) is HARVESTER else "honest"
            top[kind] = max(top[kind], score)
        return f"highest score: honest {top['honest']:.0f}, harvester {top['harvester']:.0f}"

    def against_honest(self) -> list[Verdict]:
        """Verdicts that would do something to an honest address."""
        honest = [a for s in HONEST for a in s.addresses]
        return [v for v in self.verdicts if v.enforcing and members(v.target, honest)]
