"""Server CPU of an honest TLS request, without tables and with full ones, in turns.

nginx is pinned to the first core, and so is all that the kernel does with its packets: the
device's receive queue is steered there (RPS), so that our chains run on that core and not in the
client's time. h2load(1) runs on the second core. Counted is the time of nginx's worker, in which
the kernel's packet work lands while nginx is busy, and that of the core's ksoftirqd; the last
column has h2load's own time too, so that nothing can hide there. Without: dormant tables, which
hook into nothing. `x` is the ratio of one round to the next, and `x quiet` that of the rounds
which a tenth of all were cheaper than: on a busy machine others' work shows in the dear ones.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from demo.world import World, WorldError
from tests.bench import bystander, plane, served, stats
from tests.bench.places import entering, missing

from excise.enforce.nft import Nftables

ROUNDS, REQUESTS, WITHIN_S = 60, 10_000, 120.0
HOSTS, NETWORKS = 100_000, 1_000
SERVER_CORE, CLIENT_CORE = 0, 1
QUIET = 0.1
KINDS = {
    "HTTP/1.1, 8 connections": ("--h1", "-c", "8"),
    "HTTP/2, 8 connections of 8 streams": ("-c", "8", "-m", "8"),
}
DONE = re.compile(r"(\d+) succeeded")


@dataclass(frozen=True)
class Cost:
    """Microseconds of CPU for a request: nginx alone, with ksoftirqd, and with the client."""

    nginx_us: float
    server_us: float
    all_us: float


def cpu_s(*pids: int) -> float:
    """Return the seconds that processes have been running (proc(5), schedstat)."""
    return sum(int(Path(f"/proc/{p}/schedstat").read_text().split()[0]) for p in pids) / 1e9


def kernel_thread(name: str) -> int:
    """Return the pid of a kernel thread."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (entry / "comm").read_text().strip() == name:
            return int(entry.name)
    raise WorldError(f"there is no {name}")


def pinned_workers(made: World) -> list[int]:
    """Pin nginx, and its packets, to the server's core; return the workers' pids."""
    master = next(p.pid for p in made.processes if p.name == "nginx")
    workers = [int(p) for p in Path(f"/proc/{master}/task/{master}/children").read_text().split()]
    for pid in (master, *workers):
        os.sched_setaffinity(pid, {SERVER_CORE})
    steer = f"echo {1 << SERVER_CORE:x} > /sys/class/net/server0/queues/rx-0/rps_cpus"
    made.run(made.server, "sh", "-c", steer)
    return workers


def load(made: World, argv: tuple[str, ...]) -> tuple[int, float]:
    """Let the client ask; return requests done and its own CPU seconds."""
    target = served.url(bystander.HONEST, "small")
    inside = entering(
        made.client,
        *("taskset", "-c", str(CLIENT_CORE), "h2load", *argv, "-n", str(REQUESTS), target),
    )
    before = os.times()
    done = subprocess.run(inside, capture_output=True, text=True, check=True)
    after = os.times()
    own = after.children_user + after.children_system
    own -= before.children_user + before.children_system
    found = DONE.search(done.stdout)
    if not found or not int(found[1]):
        raise WorldError(f"h2load got nothing: {done.stdout[-300:]}")
    return int(found[1]), own


def once(made: World, workers: list[int], argv: tuple[str, ...], *, on: bool) -> Cost:
    bystander.switch(made, on=on)
    softirq = kernel_thread(f"ksoftirqd/{SERVER_CORE}")
    nginx, server = cpu_s(*workers), cpu_s(*workers, softirq)
    requests, own = load(made, argv)
    nginx, server = cpu_s(*workers) - nginx, cpu_s(*workers, softirq) - server
    return Cost(*(s / requests * 1e6 for s in (nginx, server, server + own)))


def runner(
    made: World, workers: list[int], argv: tuple[str, ...], *, on: bool
) -> Callable[[], Cost]:
    return lambda: once(made, workers, argv, on=on)


def rows_of(kind: str, found: dict[str, list[Cost]]) -> list[list[str]]:
    rows = []
    base = found["none"]
    for name, taken in found.items():
        row = [kind, name]
        for part in ("nginx_us", "server_us", "all_us"):
            costs, bases = [[getattr(c, part) for c in of] for of in (taken, base)]
            quiet = stats.quantile(costs, QUIET) / stats.quantile(bases, QUIET)
            ratios = stats.spread(stats.ratios(costs, bases))
            row += [stats.spread(costs, "{:.1f}"), ratios, f"{quiet:.2f}"]
        rows.append(row)
    return rows


def measure(made: World) -> None:
    served.serve(made, made.server, served.BOTH)
    workers = pinned_workers(made)
    nft = Nftables(netns=made.server)
    nft.open()
    nft.set_guards((), plane.PORTS)
    bystander.fill(nft, HOSTS, NETWORKS)
    print(f"{HOSTS:,} hosts and {NETWORKS:,} networks in the tables")
    rows = []
    for kind, argv in KINDS.items():
        jobs = {
            "none": runner(made, workers, argv, on=False),
            "full": runner(made, workers, argv, on=True),
        }
        rows += rows_of(kind, stats.interleaved(jobs, ROUNDS, WITHIN_S))
    parts = ("nginx us", "with ksoftirqd us", "with the client us")
    head = ("load", "tables", *(word for part in parts for word in (part, "x", "x quiet")))
    stats.show(head, rows)
    nft.close(keep=False)


def main() -> int:
    """Run it; status 1 where something could not be set up."""
    absent = missing("nginx", "h2load", "taskset")
    if absent:
        print(f"not installed: {', '.join(absent)} (h2load is in Debian's nghttp2-client)")
        return 1
    if (os.cpu_count() or 1) < 2:
        print("needs two cores: one for the server, one for the client")
        return 1
    try:
        with served.world([bystander.HONEST]) as made:
            measure(made)
    except WorldError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
