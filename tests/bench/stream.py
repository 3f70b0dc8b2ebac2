"""How soon a drop ends a live stream of tokens, on the host and behind a rewritten port.

Each time four streams of one source run through nginx over TLS. From just before the drop is
given to the backend, times are taken until the model server wrote its last token of each stream,
and until it noticed; then the sockets that are left are counted. In the second scene nginx and
the model server live in a namespace of their own, and the host publishes their port by
destination NAT, as container engines do.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from demo.tail import Tail
from demo.world import World, WorldError, command
from tests.bench import served, stats
from tests.bench.places import missing

from excise.decide.plan import ChangeSet, Element, Measure
from excise.decide.span import parse_span
from excise.enforce.nft import Nftables

REPETITIONS = 20
STREAMS = 4
TOKENS_S = 100
SOURCES = [f"10.1.0.{n + 1}" for n in range(REPETITIONS)]
INSIDE_PORT = 8443
STREAMING_WITHIN_S = 10.0
ENDED_WITHIN_S = 5.0
DNAT = (
    "add table ip nat; add chain ip nat pre {{ type nat hook prerouting priority dstnat; }};"
    " add rule ip nat pre tcp dport {port} dnat to 198.51.100.2:{inside}"
)


@contextmanager
def container(made: World) -> Iterator[str]:
    """Give the server a namespace inside, as container engines do. Raises WorldError."""
    name = made.server + "-box"
    command("ip", "netns", "add", name)
    try:
        link = ["link", "add", "box0", "type", "veth", "peer", "name", "eth0", "netns", name]
        command("ip", "-n", made.server, *link)
        command("ip", "-n", made.server, "addr", "add", "198.51.100.1/24", "dev", "box0")
        command("ip", "-n", name, "addr", "add", "198.51.100.2/24", "dev", "eth0")
        for where, device in ((made.server, "box0"), (name, "eth0"), (name, "lo")):
            command("ip", "-n", where, "link", "set", device, "up")
        command("ip", "-n", name, "route", "add", "default", "via", "198.51.100.1")
        made.run(made.server, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        made.run(made.server, "nft", DNAT.format(port=served.TLS_PORT, inside=INSIDE_PORT))
        yield name
    finally:
        for process in list(made.processes):
            made.stop(process)
        command("ip", "netns", "del", name, check=False)


def ended(model: Tail, count: int) -> list[dict[str, float]]:
    """Wait for so many ends of streams; fewer come back when the time is over."""
    found: list[dict[str, float]] = []
    deadline = time.monotonic() + ENDED_WITHIN_S
    while len(found) < count and time.monotonic() < deadline:
        found += [line for line in model.new() if "ended" in line]
        time.sleep(0.005)
    return found


def left(made: World, namespace: str, source: str) -> int:
    """Count the sockets towards a source that still hold something."""
    lines = made.run(namespace, "ss", "-Htan", "dst", source).splitlines()
    return sum(not line.startswith("TIME-WAIT") for line in lines)


def repeat(
    made: World, namespace: str, model: Tail, nft: Nftables, source: str
) -> tuple[list[float], list[float], int]:
    """Return seconds until the last tokens and until the ends, and the sockets left."""
    flows = [served.Flow.start(made, source, f"tokens/{TOKENS_S}") for _ in range(STREAMS)]
    try:
        deadline = time.monotonic() + STREAMING_WITHIN_S
        while not all(flow.total for flow in flows):
            served.drain(flows, 0.2)
            if time.monotonic() > deadline:
                raise WorldError(f"no stream began: {made.complaint('nginx')}")
        drop = Element(Measure.DROP, parse_span(source), 0, time.time() + 600)
        begun = time.time()
        nft.apply(ChangeSet(additions=(drop,)))
        ends = ended(model, STREAMS)
        return (
            [max(0.0, e["last"] - begun) for e in ends],
            [e["ended"] - begun for e in ends],
            left(made, namespace, source),
        )
    finally:
        for flow in flows:
            flow.stop()


def row(scene: str, made: World, namespace: str, model: Tail, ports: list[int]) -> list[str]:
    nft = Nftables(netns=made.server)
    nft.open()
    nft.set_guards((), ports)
    tokens: list[float] = []
    ends: list[float] = []
    sockets = 0
    for source in SOURCES:
        last, noticed, remaining = repeat(made, namespace, model, nft, source)
        tokens, ends, sockets = tokens + last, ends + noticed, sockets + remaining
    nft.close(keep=False)
    missed = len(SOURCES) * STREAMS - len(ends)
    shown = [
        f"{q * 1e3:.1f}"
        for took in (tokens, ends)
        for q in ((stats.quantile(took, 0.5), max(took)) if took else (0.0, 0.0))
    ]
    return [scene, str(len(ends)), *shown, str(missed), str(sockets)]


def main() -> int:
    """Run it; status 1 where something could not be set up."""
    absent = missing("nginx", "curl")
    if absent:
        print(f"not installed: {', '.join(absent)}", file=sys.stderr)
        return 1
    rows = []
    try:
        with served.world(SOURCES) as made:
            model = served.serve(made, made.server, served.BOTH[:1])
            rows.append(row("on the host", made, made.server, model, [served.TLS_PORT]))
        with served.world(SOURCES) as made, container(made) as inside:
            model = served.serve(made, inside, [f"198.51.100.2:{INSIDE_PORT}"])
            # only the published port is named: conntrack tells which one that is inside
            rows.append(row("behind destination NAT", made, inside, model, [served.TLS_PORT]))
    except WorldError as error:
        print(error, file=sys.stderr)
        return 1
    head = ("scene", "streams", "last token ms: median", "worst", "noticed ms: median", "worst")
    stats.show((*head, "never ended", "sockets left"), rows)
    return 0
