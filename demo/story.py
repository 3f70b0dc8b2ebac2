"""The story in its order. Each chapter waits for what it tells of, and checks that it was so."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Any

from demo import gateway
from demo.checks import Checks
from demo.daemon import TIERS, Daemon
from demo.fronts import FRONTS, Front
from demo.hydra import Hydra
from demo.meter import Seconds, Sum, rate
from demo.shapes import HARVESTER, HONEST, Shape
from demo.stage import Stage
from demo.verdicts import Window, covered, covers, in_kernel, members, windows
from demo.world import SERVER_ADDRESS, Process, World

TOKENS_PER_S = 800
WARM_UP_S = 3.0  # first connections and the first pauses are not what a client lives with
BASELINE_S = 12.0
THROTTLE_WITHIN_S = 45.0
DROP_WITHIN_S = 60.0
AFTER_S = 12.0
RATE_TOLERANCE = 1.4  # policing is bursty; the bucket itself holds one second of the rate
KERNEL_WITHIN_S = 1.0


class Story:
    """One telling, in one world."""

    def __init__(self, world: World, checks: Checks, front: str = "nginx") -> None:
        self.world, self.checks = world, checks
        self.front: Front = FRONTS[front]
        self.stage = Stage(world)
        self.daemon = Daemon(world)
        self.harvester: Process | None = None
        self.before: Seconds = (0.0, 0.0)
        self.after: Seconds = (0.0, 0.0)
        self.hydra = Hydra(self)

    def tell(self) -> None:
        self.set_up()
        self.honest_only()
        self.harvest()
        self.throttled()
        self.dropped()
        self.hydra.joins()
        self.explained()
        self.untouched()
        self.timed()
        self.hydra.tell()

    def set_up(self) -> None:
        world, stage = self.world, self.stage
        front = self.front
        stage.title(f"A model server with {front.title}, and excise with the rules it ships")
        front.start(world)
        model = [*front.before(world), sys.executable, "-m", front.model]
        model += ["--port", str(gateway.MODEL_PORT), "--tokens-per-s", str(TOKENS_PER_S)]
        world.start("model", world.server, *model)
        self._python("kernel", world.server, "-m", "demo.kernel")
        stage.wait(lambda: bool(self.connects(HONEST[0].addresses[0])), 10)
        self.daemon.start()
        stage.daemon = self.daemon
        status = self.daemon.get("/v1/status")
        loaded, posture = status["rules_loaded"], status["effective_posture"]
        self.checks.that("the daemon is ready to enforce", posture == "enforce", f"{loaded} rules")

    def _python(self, name: str, namespace: str, *argv: str) -> Process:
        return self.world.start(name, namespace, sys.executable, *argv)

    def clients(self, name: str, *shapes: Shape) -> Process:
        argv = ["-m", "demo.clients", "--server", SERVER_ADDRESS, "--port", str(gateway.TLS_PORT)]
        argv += ["--certificate", str(self.world.path("cert.pem"))]
        argv += [part for shape in shapes for part in ("--shape", shape.name)]
        return self._python(name, self.world.client, *argv)

    def connects(self, *sources: str) -> list[str]:
        """Return those addresses of the client side whose new TCP connections open now."""

        def probe(source: str) -> bool:
            argv = ["-m", "demo.probe", source, SERVER_ADDRESS, str(gateway.TLS_PORT)]
            return self.world.status(self.world.client, sys.executable, *argv) == 0

        with ThreadPoolExecutor(len(sources)) as pool:
            opened = list(pool.map(probe, sources))
        return [source for source, is_open in zip(sources, opened, strict=True) if is_open]

    def honest_only(self) -> None:
        self.stage.title("Honest clients: two people, a coding agent, a batch tenant, an office")
        self.clients("honest", *HONEST)
        self.stage.wait(lambda: self.done(HONEST[0]) > 0, 15)
        start = time.time() + WARM_UP_S
        self.stage.wait(lambda: time.time() >= start + BASELINE_S, WARM_UP_S + BASELINE_S + 5)
        self.before = (start, time.time())
        for shape in HONEST:
            seen = self.stage.meter.over(self.before, shape.name)
            served = seen.done > 0 and seen.failed == 0
            self.checks.that(f"{shape.name}: served", served, described(seen))

    def done(self, shape: Shape) -> int:
        return sum(r.done for r in self.stage.meter.reports if r.name == shape.name)

    def pace(self, shape: Shape) -> float:
        """Requests a second and account before anything happened."""
        return self.stage.meter.over(self.before, shape.name).requests_s / len(shape.accounts)

    def harvest(self) -> None:
        some, accounts = len(HARVESTER.addresses), len(HARVESTER.accounts)
        self.stage.title(
            f"A harvester joins: {some} addresses, {accounts} accounts, one template,"
            f" {some * HARVESTER.parallel} parallel requests for long answers"
        )
        self.harvester = self.clients("harvester", HARVESTER)
        self.stage.wait(lambda: bool(self.covered("throttle", "drop")), THROTTLE_WITHIN_S)
        # The view lags a decision by half a second; points fade a little between the two.
        reached = max((v.score for v in self.stage.verdicts if v.enforcing), default=0.0)
        self.stage.wait(lambda: self.stage.highest["harvester"][-1] >= 0.9 * reached, 5)
        rising = self.stage.highest["harvester"]
        steps = [score for score, _ in groupby(round(x) for x in rising)]
        shown = (
            f"{' → '.join(map(str, steps))}; honest at most {max(self.stage.highest['honest']):.0f}"
        )
        risen = rising[0] == 0.0 and rising[-1] > max(self.stage.highest["honest"])
        self.checks.that("the harvester's score rises above every honest one", risen, shown)

    def covered(self, *actions: str) -> set[str]:
        return covered(self.stage.verdicts, HARVESTER.addresses, actions)

    def throttled(self) -> None:
        everybody = set(HARVESTER.addresses)
        self.stage.title("The throttle: one bucket per target, in the kernel")
        self.stage.wait(lambda: self.covered("throttle") == everybody, THROTTLE_WITHIN_S)
        named = len(self.covered("throttle"))
        self.checks.that("every address of the harvester is throttled", named == len(everybody),
                         f"{named} of {len(everybody)}")  # fmt: skip
        self.stage.wait(lambda: self.covered("drop") == everybody, DROP_WITHIN_S)
        self.measured()

    def measured(self) -> None:
        """Compare what each target still got on its tier with the tier's rate."""
        first = min((v.ts for v in self.stage.verdicts if v.enforcing), default=time.time())
        found = windows(self.stage.verdicts, HARVESTER.addresses, time.time())
        slowed = [self.slowed(window, first) for window in found]
        seen = {a for window in found for a in window.addresses}
        held = bool(slowed) and all(slowed)
        self.checks.that("its bytes fall to the tier's rate", held,
                         f"{len(found)} measurements at {len(seen)} addresses")  # fmt: skip

    def slowed(self, window: Window, first: float) -> bool:
        over = self.stage.meter.over
        free = over((first - 6.0, first - 1.0), addresses=window.addresses).bytes_s
        got = over((window.start, window.end), addresses=window.addresses).bytes_s
        limit = TIERS[window.tier]
        self.stage.say(
            f"{window.target} on tier {window.tier}: {rate(free)} → {rate(got)}"
            f" over {window.end - window.start:.0f} s (tier: {rate(limit)})"
        )
        return got <= limit * RATE_TOLERANCE and got < free

    def dropped(self) -> None:
        everybody = set(HARVESTER.addresses)
        self.stage.title("The drop")
        named = len(self.covered("drop"))
        self.checks.that("every address of the harvester is dropped", named == len(everybody),
                         f"{named} of {len(everybody)}")  # fmt: skip
        silent = self.stage.wait(self.silent, 10.0)
        self.checks.that("the harvester gets nothing any more", silent)
        opened = self.connects(*HARVESTER.addresses)
        self.checks.that("none of its new connections opens", not opened, ", ".join(opened))

    def silent(self) -> bool:
        """Whether two whole seconds went by without a byte."""
        reports = [r for r in self.stage.meter.reports if r.name == HARVESTER.name]
        latest = reports[-2 * len(HARVESTER.addresses) :]
        return bool(latest) and not any(r.bytes for r in latest)

    def explained(self) -> None:
        self.stage.title("Who stands out: excise sources")
        print(self.daemon.cli("sources").strip())
        address = HARVESTER.addresses[0]
        targets = {
            v.target for v in self.stage.verdicts if v.enforcing and covers(v.target, address)
        }
        for name in (address, *sorted(targets - {f"{address}/32"})):
            self.stage.title(f"Why: excise explain {name}")
            print(self.daemon.cli("explain", name).strip())
        families = {e["family"] for t in targets for e in self.daemon.source(t)["evidence"]}
        self.checks.that("the drop rests on independent families of evidence", len(families) >= 2,
                         ", ".join(sorted(families)))  # fmt: skip
        self.stage.title("What the kernel holds: nft list table ip excise")
        table = self.world.run(self.world.server, "nft", "list", "table", "ip", "excise")
        print(table.strip())
        held = [t for t in targets if t.removesuffix("/32") in table]
        self.checks.that("the kernel's table names what was decided", bool(held), ", ".join(held))

    def untouched(self) -> None:
        self.stage.title("Honest clients meanwhile")
        start = max((v.ts for v in self.stage.verdicts if v.action == "drop"), default=time.time())
        self.stage.wait(lambda: time.time() >= start + AFTER_S, AFTER_S + 5)
        self.after = (start, time.time())
        self.read()
        against = self.stage.against_honest()
        names = ", ".join(f"{v.name} {v.target}" for v in against)
        self.checks.that("no decision is on an honest address or account", not against, names)
        for shape in HONEST:
            was = self.stage.meter.over(self.before, shape.name)
            now = self.stage.meter.over(self.after, shape.name)
            always = self.stage.meter.over((0.0, time.time()), shape.name)
            self.checks.that(
                f"{shape.name}: unharmed",
                always.failed == 0 and now.done > 0 and no_slower(was, now),
                f"{always.done} done, {always.failed} failed; median {milliseconds(was)} before,"
                f" {milliseconds(now)} after",
            )

    def read(self) -> None:
        """Every line that was written is a record in the daemon."""
        lines = len(self.stage.logged)
        self.stage.wait(lambda: self.input()["records"] >= lines, 5)
        view = self.input()
        self.checks.that(
            "every request that was logged was read", not view["rejects"],
            f"{view['records']} records, {sum(view['rejects'].values())} rejects",
        )  # fmt: skip

    def input(self) -> Any:
        return self.daemon.get("/v1/status")["inputs"][0]

    def timed(self) -> None:
        """From the line that made the difference, or the end of a dwell, to the kernel."""
        self.stage.title("How fast")
        first = [v for v in self.stage.verdicts if v.enforcing and v.op in {"add", "escalate"}]
        pairs = [(v, in_kernel(v, self.stage.told)) for v in first if v.plane == "network"]
        delays = [(v, at - v.ts) for v, at in pairs if at is not None]
        for v, delay_s in delays:
            line = self.stage.offence(v)
            since = f"the line of {line.client}" if line else "its dwell on the rung below ended"
            self.stage.say(f"{v.target} {v.name}: kernel {delay_s * 1000:.0f} ms after {since}")
        worst = max((d for _, d in delays), default=0.0)
        self.checks.that(
            f"each decision is in the kernel within {KERNEL_WITHIN_S:.0f} s",
            bool(pairs) and len(delays) == len(pairs) and worst <= KERNEL_WITHIN_S,
            f"{len(delays)} of {len(pairs)} decisions, worst {worst * 1000:.0f} ms",
        )
        by_line = [d for v, d in delays if self.stage.offence(v)]
        self.checks.that("offending line to kernel", bool(by_line),
                         ", ".join(f"{d * 1000:.0f} ms" for d in by_line))  # fmt: skip

    def lifted(self) -> None:
        self.stage.title("The harvester goes; an operator lifts what is left")
        assert self.harvester is not None
        self.world.stop(self.harvester)
        active = self.on_harvester()
        for target in sorted({d["target"] for d in active}):
            self.stage.say(f"excise lift {target}: {self.daemon.cli('lift', target).strip()}")
        self.stage.look()
        left = self.on_harvester()
        self.checks.that("no decision on its addresses is left", bool(active) and not left)
        opened = self.connects(*HARVESTER.addresses)
        self.checks.that("its addresses can connect again", len(opened) == len(HARVESTER.addresses),
                         f"{len(opened)} of {len(HARVESTER.addresses)}")  # fmt: skip
        self.stage.say(f"excise posture observe: {self.daemon.cli('posture', 'observe').strip()}")
        active = self.daemon.get("/v1/decisions")["decisions"]
        enforced = [d["target"] for d in active if d["action"] != "observe"]
        self.checks.that("one word takes back all that rules decided", not enforced,
                         f"{len(active)} decisions, {len(enforced)} enforced")  # fmt: skip

    def on_harvester(self) -> list[Any]:
        found = self.daemon.get("/v1/decisions?plane=network")["decisions"]
        return [d for d in found if members(d["target"], HARVESTER.addresses)]


def described(seen: Sum) -> str:
    return f"{seen.done} done, {seen.failed} failed, median {milliseconds(seen)}"


def milliseconds(seen: Sum) -> str:
    return "none" if seen.median_s is None else f"{seen.median_s * 1000:.0f} ms"


def no_slower(was: Sum, now: Sum) -> bool:
    """Whether a median stayed where it was: twice, and a tenth of a second for a busy machine."""
    if was.median_s is None or now.median_s is None:
        return False
    return now.median_s <= 2.0 * was.median_s + 0.1
