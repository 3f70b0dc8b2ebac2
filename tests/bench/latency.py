"""From a line appended to a log to the packet that the kernel drops.

The real daemon tails a file in a namespace of its own. Each source is first put on the mildest
throttle by one line; its second line gives the independent family of evidence that a drop takes
(two rules of the bench's own, and a policy under which one line is enough for either step).
From the append of that second line two times are taken: until `nft monitor` reports the element,
and until the first UDP packet of that source to the service port is lost (one is sent about every
half millisecond, so that is the resolution).
"""

from __future__ import annotations

import json
import queue
import socket
import statistics
import subprocess
import sys
import threading
import time

from demo.daemon import Daemon
from demo.kernel import parse
from demo.world import SERVER_ADDRESS, World, WorldError
from tests.bench.places import inside

REPETITIONS = 30
SOURCES = [f"10.{10 + n}.0.5" for n in range(REPETITIONS)]  # far apart: no prefix explains two
PORT = 443
STEP_S = 0.0005
LOST_AFTER_S = 0.05  # a packet over veth arrives within microseconds
DROPPED_WITHIN_S = 5.0
THROTTLED_WITHIN_S = 10.0
DWELL_S = 2.0

CONFIGURATION = """\
posture: enforce
inputs: [{{file: {log}, format: record}}]
rules: [{rules}]
ports: [443]
state: {directory}/state
api: {{socket: {directory}/control.sock}}
policy: {{dwell: {dwell_s:.0f}s, family_cap: 45, throttle: 40, drop: 80}}
"""

RULE = """\
id: {id}
about: for the bench, crossed by a single line
family: {family}
kind: client
maturity: stable
weight: 45
half_life: 1h
when:
  - {{feature: {feature}, above: 10000}}
hits_also: nobody; it is used here alone
runbook: none needed
tests:
  - name: one large request
    input: [{{record: {{client: 192.0.2.1, {field}: 20000}}}}]
    fires: 192.0.2.1/32
  - name: one small request
    input: [{{record: {{client: 192.0.2.1, {field}: 20}}}}]
"""
FIRST, SECOND = "output_tokens", "input_tokens"


def udp(namespace: str, address: str, port: int) -> socket.socket:
    with inside(namespace):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, port))
    made.setblocking(False)
    return made


class Monitor:
    """`nft monitor` in a namespace; elements with the wall clock of their arrival."""

    def __init__(self, namespace: str) -> None:
        argv = ["ip", "netns", "exec", namespace, "nft", "--numeric", "monitor", "elements"]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        self.arrived: queue.SimpleQueue[tuple[float, str, str]] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told = parse(line, time.time())
            if told is not None and told.op == "add":
                self.arrived.put((told.ts, told.set, told.element))

    def wait(self, name: str, element: str, within_s: float) -> float | None:
        """Return when an element came into a set; what came before in others is passed over."""
        deadline = time.time() + within_s
        while (left_s := deadline - time.time()) > 0:
            try:
                ts, where, what = self.arrived.get(timeout=left_s)
            except queue.Empty:
                return None
            if (where, what) == (name, element):
                return ts
        return None

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


class Bench:
    """A daemon under way in a world, and what is needed to offend and to watch."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.log = world.path("excise.log")
        self.log.touch()
        self._configure()
        self.daemon = Daemon(world)
        self.monitor = Monitor(world.server)
        self.receiver = udp(world.server, SERVER_ADDRESS, PORT)

    def _configure(self) -> None:
        rules = self.world.path("rules")
        rules.mkdir()
        for family, field in (("volume", FIRST), ("shape", SECOND)):
            text = RULE.format(
                id=f"{family}.bench", family=family, feature=f"{field}_1h", field=field
            )
            (rules / family).mkdir()
            (rules / family / "bench.yaml").write_text(text)
        text = CONFIGURATION.format(
            log=self.log, rules=rules, directory=self.world.directory, dwell_s=DWELL_S
        )
        self.world.path("excise.yaml").write_text(text)

    def append(self, source: str, field: str) -> float:
        """Log one request; return the wall clock just before the write."""
        line = {"ts": time.time(), "client": source, "status": 200, "account": f"of-{source}"}
        data = json.dumps(line | {"input_tokens": 10, "output_tokens": 10} | {field: 20_000})
        with self.log.open("ab", buffering=0) as file:
            start = time.time()
            file.write(data.encode() + b"\n")
        return start

    def throttle_all(self) -> None:
        """Put every source on the mildest tier, and wait until it may climb. Raises WorldError."""
        for source in SOURCES:
            self.append(source, FIRST)
        for source in SOURCES:
            if self.monitor.wait("egr", source, THROTTLED_WITHIN_S) is None:
                raise WorldError(f"{source} not throttled by one line: {self.daemon.problem()}")
        time.sleep(DWELL_S + 0.5)

    def repeat(self, source: str) -> tuple[float, float] | None:
        """Return seconds from append to element, and to the first lost packet; None: never."""
        sender = udp(self.world.client, source, 0)
        try:
            if not self._passes(sender):
                raise WorldError(f"packets of {source} do not even arrive before the drop")
            start = self.append(source, SECOND)
            lost = self._first_lost(sender, start)
        finally:
            sender.close()
        held = self.monitor.wait("block", source, 1.0)
        return None if lost is None or held is None else (held - start, lost - start)

    def _passes(self, sender: socket.socket) -> bool:
        deadline = time.time() + 1.0
        while time.time() < deadline:
            sender.sendto(b"0", (SERVER_ADDRESS, PORT))
            time.sleep(STEP_S)
            if self._received():
                return True
        return False

    def _received(self) -> list[int]:
        numbers = []
        while True:
            try:
                numbers.append(int(self.receiver.recv(64)))
            except BlockingIOError:
                return numbers

    def _first_lost(self, sender: socket.socket, start: float) -> float | None:
        """Send numbered packets until none arrives; return when the first lost one was sent."""
        sent: list[float] = []
        arrived = -1
        while time.time() < start + DROPPED_WITHIN_S:
            sent.append(time.time())
            sender.sendto(str(len(sent) - 1).encode(), (SERVER_ADDRESS, PORT))
            time.sleep(STEP_S)
            arrived = max([arrived, *self._received()])
            if arrived + 1 < len(sent) and time.time() - sent[arrived + 1] > LOST_AFTER_S:
                return sent[arrived + 1]
        return None

    def close(self) -> None:
        self.monitor.close()
        self.receiver.close()


def show(name: str, seconds: list[float]) -> None:
    ranked = sorted(seconds)
    p95 = ranked[min(len(ranked) - 1, round(0.95 * len(ranked)))]
    print(
        f"{name}: median {statistics.median(ranked) * 1000:.1f} ms, p95 {p95 * 1000:.1f} ms,"
        f" worst {ranked[-1] * 1000:.1f} ms ({len(ranked)} sources)"
    )


def measure(world: World) -> int:
    bench = Bench(world)
    try:
        bench.daemon.run()
        bench.throttle_all()
        taken = [bench.repeat(source) for source in SOURCES]
    finally:
        bench.close()
    held = [t for t in taken if t is not None]
    if held:
        show("append → element in the kernel", [t[0] for t in held])
        show("append → first packet dropped", [t[1] for t in held])
    if len(held) < len(taken):
        print(f"{len(taken) - len(held)} of {len(taken)} sources were never dropped")
        return 1
    return 0


def main() -> int:
    """Run it; status 1 if a source was never dropped, or if nothing could be measured."""
    try:
        world = World.make(SOURCES)
    except WorldError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        return measure(world)
    except WorldError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        world.close()
