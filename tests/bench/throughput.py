"""Records a second on one core: decoding and engine, beside msgspec alone on the same lines.

Lines are read in the chunks of `excise replay`. In every round the same lines go through msgspec
into a plain struct of the record's fields, and through decoder, engine and accounting; which of
the two comes first changes from round to round. The engine keeps its state, so that the rounds
are one log from its beginning to its end. CPU time of the process is what counts: other
processes do not.
"""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import IO

import msgspec
from tests.bench.simulate import Simulation

from excise.config import Config
from excise.decode.base import DecodeContext
from excise.decode.registry import make_decoder
from excise.engine import Engine
from excise.model.decision import Posture
from excise.model.record import Record
from excise.model.step import Observed
from excise.replay import Accounting
from excise.replay.reading import read_lines
from excise.rulecheck import load_rules

LINES = 200_000
MOST_LINES = 1_000_000
ROUND_LINES = 20_000
RULES = Path(__file__).parents[2] / "rules"
MSGSPEC, DECODE, ENGINE, ACCOUNTING = PARTS = ("msgspec alone", "decode", "engine", "accounting")
Round = list[list[bytes]]


def plain_struct() -> type[msgspec.Struct]:
    """Return the record's fields with their types, without bounds."""
    bare = {"ts": float, "client": str, "prompt": list[str], "stream": bool | None}
    fields = [
        (f.name, bare.get(f.name) or type(f.default))
        if f.required
        else (f.name, bare.get(f.name) or type(f.default), f.default)
        for f in msgspec.structs.fields(Record)
    ]
    return msgspec.defstruct("Plain", fields, kw_only=True, gc=False)


class Stopwatch:
    """Seconds of CPU and of the wall, by part, of the present round."""

    def __init__(self) -> None:
        self.cpu_s = dict.fromkeys(PARTS, 0.0)
        self.wall_s = dict.fromkeys(PARTS, 0.0)

    def time(self, part: str, job: Callable[[], object]) -> object:
        cpu, wall = time.process_time(), time.perf_counter()
        done = job()
        self.cpu_s[part] += time.process_time() - cpu
        self.wall_s[part] += time.perf_counter() - wall
        return done


class Pipeline:
    """What a replay does with a chunk."""

    def __init__(self) -> None:
        book, errors = load_rules([RULES])
        if errors:
            raise errors[0]
        settings = msgspec.structs.replace(Config().settings(), posture=Posture.ENFORCE)
        self.engine = Engine(settings, book)
        self.accounting = Accounting(rule.id for rule in book.rules)
        self.decoder = make_decoder("record", DecodeContext(trusted=(), account_key=b""))

    def take(self, lines: list[bytes], watch: Stopwatch) -> None:
        decoded = watch.time(DECODE, lambda: self.decoder.decode(lines))
        records = decoded.records
        effects = watch.time(ENGINE, lambda: self.engine.step([Observed(records)]))

        def account() -> None:
            self.accounting.decoded(len(lines), decoded)
            self.accounting.take(records, effects)

        watch.time(ACCOUNTING, account)


def rounds_of(stream: IO[bytes]) -> Iterator[Round]:
    """Yield about `ROUND_LINES` lines at a time, in chunks."""
    chunks: Round = []
    for chunk in read_lines(stream):
        chunks.append(chunk)
        if sum(map(len, chunks)) >= ROUND_LINES:
            yield chunks
            chunks = []
    if chunks:
        yield chunks


def measure(stream: IO[bytes]) -> tuple[list[Stopwatch], list[int], Pipeline]:
    pipeline = Pipeline()
    decode = msgspec.json.Decoder(plain_struct()).decode
    watches: list[Stopwatch] = []
    counts: list[int] = []
    for number, chunks in enumerate(rounds_of(stream)):
        watch = Stopwatch()

        def alone(chunks: Round = chunks, watch: Stopwatch = watch) -> None:
            for lines in chunks:
                watch.time(MSGSPEC, lambda lines=lines: list(map(decode, lines)))

        def through(chunks: Round = chunks, watch: Stopwatch = watch) -> None:
            for lines in chunks:
                pipeline.take(lines, watch)

        for job in (alone, through) if number % 2 else (through, alone):
            job()
        watches.append(watch)
        counts.append(sum(map(len, chunks)))
    return watches, counts, pipeline


def show(watches: Sequence[Stopwatch], counts: Sequence[int]) -> None:
    def figures(clock: str, *parts: str) -> list[float]:
        return [
            sum(getattr(watch, clock)[part] for part in parts) / count * 1e6
            for watch, count in zip(watches, counts, strict=True)
        ]

    alone = figures("cpu_s", MSGSPEC)
    print(f"{'':18}{'CPU µs':>8}{'wall µs':>9}{'records/s':>12}{'x msgspec':>11}  quartiles")
    rows = [(part, (part,)) for part in PARTS]
    rows[3:3] = [("decode + engine", (DECODE, ENGINE))]
    for name, parts in rows:
        cpu, wall = figures("cpu_s", *parts), figures("wall_s", *parts)
        ratios = [a / b for a, b in zip(cpu, alone, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        per_s = 1e6 / statistics.median(cpu)
        print(
            f"{name:18}{statistics.median(cpu):8.2f}{statistics.median(wall):9.2f}{per_s:12,.0f}"
            f"{middle:11.2f}  {low:.2f} to {high:.2f}"
        )


def main(log: Path | None = None) -> None:
    """Measure with made-up lines, or with the first million of another log in format `record`."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with ExitStack() as stack:
        stream: IO[bytes]
        if log is None:
            lines = b"\n".join(Simulation().lines(LINES)) + b"\n"
            stream, name = BytesIO(lines), "simulated lines"
        else:
            stream, name = stack.enter_context(log.open("rb")), str(log)
            stream = BytesIO(b"".join(islice(stream, MOST_LINES)))
        watches, counts, pipeline = measure(stream)
    total = sum(counts)
    print(
        f"{total:,} {name}, {stream.tell() / total:.0f} bytes each, {len(counts)} rounds,"
        f" garbage collector at {gc.get_threshold()}"
    )
    show(watches, counts)
    print(f"{len(pipeline.engine.decisions())} decisions hold at the end")
