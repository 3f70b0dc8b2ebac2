"""One decision, from plan to acknowledged transaction, in an empty and in a full table.

Three spans are taken of each change: the transactions alone (sent until acknowledged), the
backend's `apply` (which packs, sends and reads back), and a whole round as the daemon does it
(census of the roll, plan, apply, bookkeeping). Changes of one kind are done one after another;
kinds take turns, so that all see the same noise.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

from demo.world import WorldError
from tests.bench import plane, stats
from tests.bench.places import namespace

from excise.daemon.converge import Converger
from excise.decide.plan import ChangeSet, Element, Measure
from excise.enforce.nft import Nftables
from excise.model.decision import Op

PRESENT = (0, 100_000)
REPETITIONS = 300
AT_MOST_S = 30.0
SLOW, CRAWL = 51_200, 5_120
KINDS = ("add", "renew", "throttle", "another rate", "remove", "add network", "remove network")
Took = tuple[float, float]  # seconds in transactions, seconds in all


def timed(job: Callable[[], object], commits: list[float]) -> Took:
    commits.clear()
    begun = time.perf_counter()
    job()
    return sum(commits), time.perf_counter() - begun


def backend_changes(number: int) -> Iterator[tuple[str, ChangeSet]]:
    """Yield one change of each kind; together they leave nothing behind."""
    until = time.time() + plane.HOUR_S
    single, whole = plane.host(number, plane.APART), plane.network(number, plane.APART + (1 << 20))
    drop, later = (Element(Measure.DROP, single, 0, until + more) for more in (0, 600))
    slow, crawl = (Element(Measure.EGRESS, single, rate, until) for rate in (SLOW, CRAWL))
    net = Element(Measure.DROP, whole, 0, until)
    yield "add", ChangeSet(additions=(drop,))
    yield "renew", ChangeSet(additions=(later,))
    yield "throttle", ChangeSet(additions=(slow,))
    yield "another rate", ChangeSet(removals=(slow,), additions=(crawl,))
    yield "remove", ChangeSet(removals=(later, crawl))
    yield "add network", ChangeSet(additions=(net,))
    yield "remove network", ChangeSet(removals=(net,))


def round_changes(rounds: plane.Rounds, number: int) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield one change of each kind, as decisions."""
    until = time.time() + plane.HOUR_S
    single, other = (plane.host(2 * number + n, plane.APART) for n in (0, 1))
    whole = plane.network(number, plane.APART + (1 << 20))
    drop, later = (plane.decision(single, until=until + more) for more in (0, 600))
    slow, crawl = (plane.decision(other, tier=tier, until=until) for tier in ("slow", "crawl"))
    net = plane.decision(whole, until=until)
    yield "add", lambda: rounds.note(Op.ADD, drop)
    yield "renew", lambda: rounds.note(Op.RENEW, later)
    yield "throttle", lambda: rounds.note(Op.ADD, slow)
    yield "another rate", lambda: rounds.note(Op.ESCALATE, crawl)
    yield "remove", lambda: (rounds.note(Op.LIFT, later), rounds.note(Op.LIFT, crawl))[0]
    yield "add network", lambda: rounds.note(Op.ADD, net)
    yield "remove network", lambda: rounds.note(Op.LIFT, net)


def measure_backend(nft: Nftables, commits: list[float]) -> dict[str, list[Took]]:
    taken: dict[str, list[Took]] = {kind: [] for kind in KINDS}
    deadline = time.monotonic() + AT_MOST_S
    for number in range(REPETITIONS):
        for kind, change in backend_changes(number):
            taken[kind].append(timed(lambda change=change: nft.apply(change), commits))
        if time.monotonic() > deadline:
            break
    return taken


def measure_rounds(rounds: plane.Rounds, commits: list[float]) -> dict[str, list[Took]]:
    taken: dict[str, list[Took]] = {kind: [] for kind in KINDS}
    deadline = time.monotonic() + AT_MOST_S
    for number in range(REPETITIONS):
        for kind, change in round_changes(rounds, number):
            change()
            taken[kind].append(timed(rounds.turn, commits))
        if time.monotonic() > deadline:
            break
    return taken


def row(label: str, kind: str, seconds: list[float]) -> list[str]:
    shares = (0.5, 0.95, 0.99)
    figures = [f"{stats.quantile(seconds, s) * 1e3:.2f}" for s in shares]
    return [label, kind, *figures, str(len(seconds))]


def rows_of(name: str, taken: dict[str, list[Took]]) -> list[list[str]]:
    rows = []
    for kind, pairs in taken.items():
        rows.append(row("transaction", kind, [p[0] for p in pairs]))
        rows.append(row(name, kind, [p[1] for p in pairs]))
    return rows


def measure(present: int) -> None:
    """Measure with so many dropped hosts, and a network for each hundred of them."""
    until = time.time() + 24 * plane.HOUR_S
    hosts = [plane.decision(plane.host(n), until=until) for n in range(present)]
    nets = [plane.decision(plane.network(n), until=until) for n in range(present // 100)]
    with namespace() as where, plane.timed_commits() as commits:
        nft = Nftables(netns=where)
        converger = Converger(nft)
        rounds = plane.Rounds(converger, [*hosts, *nets])
        converger.open((), plane.PORTS)
        begun = time.perf_counter()
        outcome = rounds.turn()
        first_s = time.perf_counter() - begun
        print(
            f"{outcome.entries:,} entries present; the round that put them there took"
            f" {first_s:.2f} s, its longest transaction {max(commits, default=0.0) * 1e3:.0f} ms"
        )
        of_rounds = measure_rounds(rounds, commits)
        of_backend = measure_backend(nft, commits)
        converger.close(keep=False)
    rows = [*rows_of("backend", of_backend), *rows_of("round", of_rounds)]
    stats.show(("span, ms", "change", "p50", "p95", "p99", "times"), rows)


def main() -> int:
    """Run it; status 1 where namespaces cannot be made."""
    try:
        for present in PRESENT:
            measure(present)
    except WorldError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
