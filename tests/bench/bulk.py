"""Many decisions at once, beside the same addresses through other programs.

Each load goes into a namespace of its own; programs take turns. `longest` is our own longest
transaction. `others wait` is the longest time that somebody else's transaction took meanwhile:
nftables serves one at a time per namespace, so this is what a bulk load costs the neighbours.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.world import WorldError
from tests.bench import others, plane, stats
from tests.bench.places import entering, missing, namespace

from excise.decide.plan import ChangeSet, Element
from excise.enforce.nft import Nftables

ROUNDS = {1_000: 5, 100_000: 3, 1_000_000: 1}
FAIL2BAN_BANS, CROWDSEC_BANS = 200, 20_000
#: a transaction that fails takes its turn like any other, and changes nothing
PROBE = """
import sys, threading, time
from excise.enforce.nft_socket import NftSocket
from excise.enforce.nft_wire import Message, Msg, text
from excise.errors import DivergedError
asked, worst, over = NftSocket(), 0.0, threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
print("ready", flush=True)
while not over.wait(0.001):
    begun = time.perf_counter()
    try:
        asked.commit([Message(Msg.DELTABLE, 2, text(1, "no-such-table"))])
    except DivergedError:
        worst = max(worst, time.perf_counter() - begun)
print(worst, flush=True)
"""


@dataclass(frozen=True)
class Load:
    """Seconds of one load; `longest_s` and `sent_s` only where the transactions are ours."""

    all_s: float
    waited_s: float
    longest_s: float | None = None
    sent_s: float | None = None


@contextmanager
def neighbour(where: str) -> Iterator[Callable[[], float]]:
    """Let somebody else ask for transactions; the function gives the longest wait, and ends it."""
    argv = entering(where, sys.executable, "-c", PROBE)
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as probe:
        assert probe.stdin is not None
        assert probe.stdout is not None
        probe.stdout.readline()
        stdin, stdout = probe.stdin, probe.stdout

        def worst() -> float:
            stdin.close()
            return float(stdout.readline())

        yield worst


def ours(elements: list[Element]) -> Load:
    """Load them as the daemon does: a change, read back."""
    with namespace() as where, plane.timed_commits() as commits:
        nft = Nftables(netns=where)
        nft.open()
        nft.set_guards((), plane.PORTS)
        with neighbour(where) as worst:
            commits.clear()
            begun = time.perf_counter()
            nft.apply(ChangeSet(additions=tuple(elements)))
            took = time.perf_counter() - begun
            load = Load(took, worst(), max(commits), sum(commits))
        nft.close(keep=False)
        return load


def theirs(
    load: Callable[[str, Sequence[str], Path], float], targets: list[str], *, probed: bool = True
) -> Load:
    """Load them with another program."""
    with namespace() as where, tempfile.TemporaryDirectory(prefix="excise-bench-") as directory:
        if not probed:
            return Load(load(where, targets, Path(directory)), 0.0)
        with neighbour(where) as worst:
            return Load(load(where, targets, Path(directory)), worst())


def rows_of(what: str, count: int, loads: dict[str, list[Load]]) -> list[list[str]]:
    rows = []
    for name, taken in loads.items():
        seconds = [x.all_s for x in taken]
        sent = [x.sent_s for x in taken if x.sent_s is not None]
        longest = [x.longest_s * 1e3 for x in taken if x.longest_s is not None]
        waited = [x.waited_s * 1e3 for x in taken]
        rate = f"{count / stats.quantile(seconds, 0.5):,.0f}"
        row = [f"{count:,} {what}", name, stats.spread(seconds), stats.spread(sent), rate]
        rows.append([*row, stats.spread(longest, "{:.0f}"), stats.spread(waited, "{:.0f}")])
    return rows


def compare(what: str, elements: list[Element]) -> list[list[str]]:
    targets = [str(e.span).removesuffix("/32") for e in elements]
    jobs: dict[str, Callable[[], Load]] = {"excise": lambda: ours(elements)}
    if not missing("nft"):
        jobs["nft -f"] = lambda: theirs(others.nft_file, targets)
    if missing("ipset"):
        print("ipset: not installed")
    else:
        jobs["ipset restore"] = lambda: theirs(others.ipset_restore, targets)
    count = len(elements)
    return rows_of(what, count, stats.interleaved(jobs, ROUNDS[count]))


def extrapolated() -> None:
    """Ban a few by the programs that take long, and say what many would take at that pace."""
    programs = {
        "fail2ban": (("fail2ban-server", "fail2ban-client"), others.fail2ban, FAIL2BAN_BANS),
        "crowdsec": (
            ("crowdsec", "cscli", "crowdsec-firewall-bouncer"),
            others.crowdsec,
            CROWDSEC_BANS,
        ),
    }
    rows = []
    for name, (needed, load, count) in programs.items():
        absent = missing(*needed)
        if absent:
            print(f"{name}: not installed ({', '.join(absent)})")
            continue
        targets = [str(plane.host(n)).removesuffix("/32") for n in range(count)]
        try:
            took = theirs(load, targets, probed=False).all_s
        except RuntimeError as error:
            print(f"{name}: {error}")
            continue
        each = took / count
        row = [name, f"{count:,}", f"{took:.1f}", f"{each * 1e3:.2f}"]
        rows.append([*row, f"{each * 1e5 / 60:.1f}", f"{each * 1e6 / 60:.0f}"])
    head = ("program", "bans", "s", "ms each", "100,000: min", "1,000,000: min")
    if rows:
        stats.show(head, rows)


def main() -> int:
    """Run it; status 1 where namespaces cannot be made."""
    until = time.time() + plane.HOUR_S
    head = ("load", "by", "s", "s in transactions", "a second", "longest ms", "others wait ms")
    try:
        stats.show(head, compare("networks", plane.networks(1_000, until)))
        for count in (100_000, 1_000_000):
            stats.show(head, compare("hosts", plane.drops(count, until)))
        extrapolated()
    except WorldError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
