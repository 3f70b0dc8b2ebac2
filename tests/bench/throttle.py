"""What a throttled client gets.

nginx over TLS in namespaces. Rates are application bytes as they arrive at curl(1), or at the
model server for uploads, after the first seconds, divided by the rate that was set. All flows of
one rate run at the same time, each from a source of its own; two sources share each subnet's
bucket.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from demo.tail import Tail
from demo.world import World, WorldError
from tests.bench import plane, served, stats
from tests.bench.backend import EVENT_BYTES
from tests.bench.places import missing

from excise.decide.plan import Element, Measure, gather
from excise.decide.span import parse_span
from excise.enforce.nft import Nftables

KIB = 1024
RATES = (20 * KIB, 100 * KIB, KIB * KIB, 10 * KIB * KIB)
ROUNDS, SKIP_S, MEASURE_S = 3, 5.0, 10.0
#: below this rate TCP stalls for seconds, and a TLS record is a second's worth: look for longer
SLOW_BYTES_S, SLOW_SKIP_S, SLOW_MEASURE_S = 64 * KIB, 10.0, 40.0
STREAMS = 8
TOKENS_S, TOKEN_FLOWS = 50, 4
ETHERNET_BYTES = 14
TOKEN_RATES = (5 * KIB, 10 * KIB, 20 * KIB, 50 * KIB)


@dataclass(frozen=True)
class Cell:
    """One thing that is throttled: a target in the kernel, and the sources that it covers."""

    name: str
    target: str
    sources: tuple[str, ...]
    streams: int

    @property
    def family(self) -> str:
        return "v6" if ":" in self.target else "v4"


CELLS = tuple(
    Cell(f"{kind} {name}", target, sources, streams)
    for kind, streams, n in (("HTTP/1.1", 0, 1), ("HTTP/2", STREAMS, 2))
    for name, target, sources in (
        ("address", f"10.{n}.0.5", (f"10.{n}.0.5",)),
        ("subnet", f"10.{n}.1.0/28", (f"10.{n}.1.1", f"10.{n}.1.2")),
        ("address", f"2001:db8:{n}::5", (f"2001:db8:{n}::5",)),
        ("subnet", f"2001:db8:{n}:1::/64", (f"2001:db8:{n}:1::1", f"2001:db8:{n}:1::2")),
    )
)
SOURCES = [source for cell in CELLS for source in cell.sources]


def hold(nft: Nftables, measure: Measure, targets: Sequence[str], rate: int) -> None:
    until = time.time() + plane.HOUR_S
    nft.replace(gather(Element(measure, parse_span(t), rate, until) for t in targets))


def spans(rate: int) -> tuple[float, float]:
    """Return how long to wait, and how long to measure, in seconds."""
    return (SLOW_SKIP_S, SLOW_MEASURE_S) if rate < SLOW_BYTES_S else (SKIP_S, MEASURE_S)


@contextmanager
def flowing(flows: list[served.Flow]) -> Iterator[list[served.Flow]]:
    try:
        yield flows
    finally:
        for flow in flows:
            flow.stop()


def downloads(made: World, nft: Nftables, rate: int) -> list[float]:
    """Return delivered over configured for each cell."""
    hold(nft, Measure.EGRESS, [cell.target for cell in CELLS], rate)
    owners = [(cell, source) for cell in CELLS for source in cell.sources]
    started = [served.Flow.start(made, s, "big", streams=cell.streams) for cell, s in owners]
    with flowing(started) as flows:
        found = served.rates(flows, *spans(rate))
    return [
        sum(r for r, (owner, _) in zip(found, owners, strict=True) if owner is cell) / rate
        for cell in CELLS
    ]


def sunk(model: Tail) -> tuple[float, dict[str, int]]:
    """Return when the model server last told, and the bytes that had come under each name."""
    found: tuple[float, dict[str, int]] = (0.0, {})
    for line in model.new():
        if "sunk" in line:
            found = line["ts"], line["sunk"]
    return found


def uploads(made: World, model: Tail, nft: Nftables, rate: int) -> list[float]:
    """Return what arrived over what was configured for each cell; HTTP/2 with one stream."""
    hold(nft, Measure.INGRESS, [cell.target for cell in CELLS], rate)
    started = []
    names: list[list[str]] = []
    for number, cell in enumerate(CELLS):
        names.append([])
        for source in cell.sources:
            name = f"{time.monotonic_ns()}-{number}"
            names[-1].append(name)
            body = ["-T", str(made.path("big"))]
            streams = min(cell.streams, 1)
            path = f"sink/{name}"
            started.append(served.Flow.start(made, source, path, streams=streams, more=body))
    skip_s, measure_s = spans(rate)
    with flowing(started) as flows:
        served.drain(flows, skip_s)
        begun, before = sunk(model)
        served.drain(flows, measure_s)
        ended, after = sunk(model)
    took = ended - begun
    return [sum(after.get(n, 0) - before.get(n, 0) for n in mine) / took / rate for mine in names]


def wire_bytes(made: World) -> int:
    """Return the bytes that the client's device has got, without their Ethernet headers."""
    told = json.loads(made.run(made.client, "ip", "-j", "-s", "link", "show", "client0"))
    received = told[0]["stats64"]["rx"]
    return int(received["bytes"]) - ETHERNET_BYTES * int(received["packets"])


def tokens(made: World, nft: Nftables, rate: int) -> tuple[float, float]:
    """Return tokens a second that four streams of one source get, and their bytes on the wire."""
    source = CELLS[0].sources[0]
    hold(nft, Measure.EGRESS, [source], rate)
    path = f"tokens/{TOKENS_S}"
    with flowing([served.Flow.start(made, source, path) for _ in range(TOKEN_FLOWS)]) as flows:
        served.drain(flows, 2 * SKIP_S)
        before = wire_bytes(made)
        got = served.rates(flows, 0.0, 2 * MEASURE_S)
        on_wire = wire_bytes(made) - before
    return sum(got) / EVENT_BYTES, on_wire / (2 * MEASURE_S) / rate


def accuracy(what: str, once: Callable[[int], list[float]]) -> None:
    """Measure all rates, and print what was delivered of what was configured."""
    found = {rate: [once(rate) for _ in range(ROUNDS)] for rate in RATES}
    rows = [
        [what, f"{rate // KIB:,} KiB/s", cell.family, cell.name, stats.spread(values)]
        for rate, rounds in found.items()
        for cell, values in zip(CELLS, zip(*rounds, strict=True), strict=True)
    ]
    stats.show(("what", "rate", "family", "target", "delivered/configured"), rows)
    summary(what, found)


def summary(what: str, found: dict[int, list[list[float]]]) -> None:
    """Print, by rate, the lowest and the highest of the cells' medians."""
    rows = []
    for rate, rounds in found.items():
        medians = [statistics.median(values) for values in zip(*rounds, strict=True)]
        shown = [f"{f(medians):.2f}" for f in (statistics.median, min, max)]
        outside = sum(not 0.85 <= m <= 1.15 for m in medians)
        rows.append([what, f"{rate // KIB:,} KiB/s", *shown, f"{outside} of {len(medians)}"])
    head = ("what", "rate", "median of targets", "lowest", "highest", "outside 0.85 to 1.15")
    stats.show(head, rows)


def token_table(made: World, nft: Nftables) -> None:
    rows = []
    for rate in TOKEN_RATES:
        got = [tokens(made, nft, rate) for _ in range(ROUNDS)]
        shares = [g * EVENT_BYTES / rate for g, _ in got]
        row = [f"{rate // KIB} KiB/s", stats.spread([g for g, _ in got], "{:.1f}")]
        rows.append([*row, stats.spread(shares), stats.spread([w for _, w in got])])
    offered = f"tokens/s of {TOKEN_FLOWS * TOKENS_S}"
    stats.show(("rate", offered, "payload/configured", "on the wire/configured"), rows)


def measure(made: World) -> None:
    model = served.serve(made, made.server, served.BOTH)
    nft = Nftables(netns=made.server)
    nft.open()
    nft.set_guards((), plane.PORTS)
    accuracy("download", lambda rate: downloads(made, nft, rate))
    accuracy("upload", lambda rate: uploads(made, model, nft, rate))
    token_table(made, nft)
    nft.close(keep=False)


def main() -> int:
    """Run it; status 1 where something could not be set up."""
    absent = missing("nginx", "curl")
    if absent:
        print(f"not installed: {', '.join(absent)}", file=sys.stderr)
        return 1
    try:
        with served.world(SOURCES) as made:
            measure(made)
    except WorldError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
