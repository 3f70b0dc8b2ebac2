"""Everything that can be seen of a run, kept up to date and printed as it happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from demo.checks import BOLD, CYAN, DIM, RED, YELLOW, paint
from demo.daemon import Daemon
from demo.kernel import Told
from demo.meter import Meter, rate
from demo.shapes import HARVESTER, HONEST, HYDRA, Shape
from demo.tail import Tail
from demo.verdicts import Verdict, covers, members
from demo.world import Process, World, WorldError

STEP_S = 0.1
SCORE_EVERY_S = 0.5
ROW_EVERY_S = 2.0
ROW_SPAN_S = 3.0
LINE_TOLERANCE_S = 0.002


@dataclass(frozen=True)
class Logged:
    """What is needed of one line that was logged."""

    ts: float
    client: str
    account: str


class Stage:
    """The run as it goes: reports of clients, verdicts, kernel elements, scores."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.meter = Meter()
        self.verdicts: list[Verdict] = []
        self.told: list[Told] = []
        self.logged: list[Logged] = []
        self.highest: dict[str, list[float]] = {"honest": [], "harvester": [], "hydra": []}
        self.daemon: Daemon | None = None
        self.began = time.time()
        self._clients = [
            Tail(world.path(f"{name}.out")) for name in ("honest", "harvester", "hydra")
        ]
        self._events = Tail(world.path("events.out"))
        self._kernel = Tail(world.path("kernel.out"))
        self._log = Tail(world.path("excise.log"))
        self._next_row = self._next_score = 0.0

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
        self.logged += [Logged(x["ts"], x["client"], x.get("account", "")) for x in self._log.new()]
        now = time.time()
        if self.daemon is not None and now >= self._next_score:
            self._next_score = now + SCORE_EVERY_S
            self._scores(self.daemon)
        if self.meter.reports and now >= self._next_row:
            self._next_row = now + ROW_EVERY_S
            self._row(now)

    def _alive(self, process: Process) -> None:
        if not process.alive():
            raise WorldError(f"{process.name} ended: {self.world.complaint(process.name)}")

    def _verdict(self, verdict: Verdict) -> None:
        self.verdicts.append(verdict)
        if verdict.op == "renew" or verdict.plane != "network" or verdict.campaign:
            return  # a campaign's many are told together
        colour = {"drop": RED, "throttle": YELLOW}.get(verdict.action, CYAN)
        rules = ", ".join(verdict.rules)
        self.say(
            f"excise: {verdict.op} {verdict.target} {paint(verdict.name, colour)}"
            f" at score {verdict.score:.0f} ({rules})"
        )

    def _scores(self, daemon: Daemon) -> None:
        """Note the highest score among addresses and subnets of either side."""
        top = {"honest": 0.0, "harvester": 0.0, "hydra": 0.0}
        for source in daemon.get("/v1/sources?limit=100")["sources"]:
            side = side_of(source["name"])
            top[side] = max(top[side], float(source["score"]))
        for side, score in top.items():
            self.highest[side].append(score)

    def _row(self, now: float) -> None:
        span = (now - ROW_SPAN_S, now)
        text = "  ".join(
            f"{s.name} {self.meter.over(span, s.name).requests_s:3.1f}/s" for s in HONEST
        )
        if any(r.name == HARVESTER.name for r in self.meter.reports):
            harvest = self.meter.over(span, HARVESTER.name)
            text += f" │ harvester {harvest.requests_s:4.1f}/s {rate(harvest.bytes_s):>10}"
        if any(r.name == HYDRA.name for r in self.meter.reports):
            drawn = self.meter.over(span, HYDRA.name)
            text += f" │ hydra {drawn.requests_s:4.1f}/s {rate(drawn.bytes_s):>10}"
        if self.highest["honest"]:
            honest, harvester = (self.highest[side][-1] for side in ("honest", "harvester"))
            text += f" │ highest score: honest {honest:.0f}, harvester {harvester:.0f}"
        self.say(text)

    def accounts(self, shapes: Sequence[Shape]) -> set[str]:
        """Return the account ids under which the gateway logged some shapes."""
        addresses = {a for s in shapes for a in s.addresses}
        return {x.account for x in self.logged if x.client in addresses}

    def offence(self, verdict: Verdict) -> Logged | None:
        """Return the log line on which a verdict was reached, None where a timer reached it."""
        lines = (x for x in self.logged if abs(x.ts - verdict.ts) < LINE_TOLERANCE_S)
        return next((x for x in lines if covers(verdict.target, x.client)), None)

    def against_honest(self) -> list[Verdict]:
        """Return verdicts that would do something to an honest address or account."""
        honest = [a for s in HONEST for a in s.addresses]
        accounts = self.accounts(HONEST)
        return [
            v
            for v in self.verdicts
            if v.enforcing and (members(v.target, honest) or v.target in accounts)
        ]


def side_of(name: str) -> str:
    """Return whose a client or subnet is; what honest people live in is honest."""
    if members(name, [a for s in HONEST for a in s.addresses]):
        return "honest"
    if members(name, HARVESTER.addresses):
        return HARVESTER.name
    return HYDRA.name if members(name, HYDRA.addresses) else "honest"
