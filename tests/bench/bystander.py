"""What our tables cost the honest client: throughput and latency with and without them, in turns.

The tables hold ten thousand dropped hosts and a thousand throttled networks, none of them the
honest client's. Without: a dormant table hooks into nothing, which is as good as none. The
second pair has eight downloads of an offender beside it, free or throttled. Rounds are short and
take turns, and none begins once the time is up: a machine that is shared changes its pace within
seconds, so only neighbours are compared. `x` is the median, with quartiles, of the ratios within
each pair, and `x quiet` the ratio of the rounds which a tenth of all were better than.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from demo.world import World, WorldError
from tests.bench import plane, served, stats
from tests.bench.places import entering, missing

from excise.decide.plan import ChangeSet, Element, Measure, gather
from excise.decide.span import parse_span
from excise.enforce.nft import Nftables

ROUNDS, WITHIN_S, OFFENDER_WITHIN_S = 100, 80.0, 40.0
SKIP_S, MEASURE_S = 0.3, 0.5
#: small requests in a round. A number, not a time: h2load(1) waits for ever where its time is over
#: before its connections are there, as may be beside an offender, where each takes 50 ms
REQUESTS, REQUESTS_BESIDE = 8_000, 160
QUIET = 0.1
HOSTS, NETWORKS = 10_000, 1_000
HONEST = "10.0.1.1"  # the client's first address: h2load(1) cannot choose another
OFFENDER, OFFENDER_FLOWS, OFFENDER_BYTES_S = "10.9.9.9", 8, 100 * 1024


@dataclass(frozen=True)
class Honest:
    """What the honest client got."""

    bytes_s: float
    median_s: float
    p99_s: float
    requests_s: float


def small_requests(made: World, number: int) -> tuple[list[float], float]:
    """Return the seconds of each small request on four connections that stay, and of them all."""
    log = made.path("h2load.log")
    log.unlink(missing_ok=True)
    kind = ["--h1", "-c", "4", "-n", str(number), f"--log-file={log}"]
    argv = entering(made.client, "h2load", *kind, served.url(HONEST, "small"))
    begun = time.perf_counter()
    subprocess.run(argv, capture_output=True, check=True)
    took = time.perf_counter() - begun
    return [int(line.split("\t")[2]) / 1e6 for line in log.read_text().splitlines()], took


def honest(made: World, requests: int = REQUESTS) -> Honest:
    """Measure downloads on two connections, then small requests."""
    flows = [served.Flow.start(made, HONEST, "big") for _ in range(2)]
    try:
        bytes_s = sum(served.rates(flows, SKIP_S, MEASURE_S))
    finally:
        for flow in flows:
            flow.stop()
    each, took = small_requests(made, requests)
    shares = [stats.quantile(each, share) for share in (0.5, 0.99)]
    return Honest(bytes_s, shares[0], shares[1], len(each) / took)


def switch(made: World, *, on: bool) -> None:
    """Hook the tables in, or take the hooks out and leave what they hold."""
    flags = "" if on else "{ flags dormant; }"
    for family in ("ip", "ip6"):
        made.run(made.server, "nft", f"add table {family} excise {flags}")


def fill(nft: Nftables, hosts: int, networks: int) -> None:
    """Put the tables there, with others' addresses in them."""
    until = time.time() + plane.HOUR_S
    first = parse_span("100.64.0.0").start
    dropped = [Element(Measure.DROP, plane.host(n, first), 0, until) for n in range(hosts)]
    slow = [Element(Measure.EGRESS, plane.network(n), 51_200, until) for n in range(networks)]
    nft.replace(gather([*dropped, *slow]))


def beside_offender(made: World) -> Honest:
    flows = [
        served.Flow.start(made, OFFENDER, "big", output="/dev/null") for _ in range(OFFENDER_FLOWS)
    ]
    try:
        time.sleep(1.0)
        return honest(made, REQUESTS_BESIDE)
    finally:
        for flow in flows:
            flow.stop()


def switched(made: World, job: Callable[[World], Honest], *, on: bool) -> Callable[[], Honest]:
    def run() -> Honest:
        switch(made, on=on)
        return job(made)

    return run


def rows_of(found: dict[str, list[Honest]]) -> list[list[str]]:
    base = next(iter(found.values()))
    rows = []
    for name, taken in found.items():
        row = [name, str(len(taken))]
        for part, unit, quiet in (("bytes_s", 1e-6, 1 - QUIET), ("median_s", 1e6, QUIET)):
            values, bases = [[getattr(h, part) for h in of] for of in (taken, base)]
            row.append(stats.spread([v * unit for v in values], "{:.0f}"))
            row.append(stats.spread(stats.ratios(values, bases)))
            row.append(f"{stats.quantile(values, quiet) / stats.quantile(bases, quiet):.2f}")
        row.append(stats.spread([h.p99_s * 1e6 for h in taken], "{:.0f}"))
        rows.append([*row, stats.spread([h.requests_s for h in taken], "{:.0f}")])
    return rows


def measure(made: World) -> None:
    served.serve(made, made.server, served.BOTH)
    nft = Nftables(netns=made.server)
    nft.open()
    nft.set_guards((), plane.PORTS)
    fill(nft, HOSTS, NETWORKS)
    throttled = Element(
        Measure.EGRESS, parse_span(OFFENDER), OFFENDER_BYTES_S, time.time() + plane.HOUR_S
    )
    nft.apply(ChangeSet(additions=(throttled,)))
    alone = {
        "no tables": switched(made, honest, on=False),
        "tables": switched(made, honest, on=True),
    }
    beside = {
        "beside an offender, free": switched(made, beside_offender, on=False),
        "beside an offender, throttled": switched(made, beside_offender, on=True),
    }
    rows = rows_of(stats.interleaved(alone, ROUNDS, WITHIN_S))
    rows += rows_of(stats.interleaved(beside, ROUNDS, OFFENDER_WITHIN_S))
    ratio = ("x", "x quiet")
    stats.show(("run", "rounds", "MB/s", *ratio, "median us", *ratio, "p99 us", "requests/s"), rows)
    nft.close(keep=False)


def main() -> int:
    """Run it; status 1 where something could not be set up."""
    absent = missing("nginx", "curl", "h2load")
    if absent:
        print(f"not installed: {', '.join(absent)} (h2load is in Debian's nghttp2-client)")
        return 1
    try:
        with served.world([HONEST, OFFENDER]) as made:
            measure(made)
    except WorldError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
