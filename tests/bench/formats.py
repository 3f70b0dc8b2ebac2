"""Lines a second by format, beside msgspec or `bytes.split` alone on the same lines.

For JSON the limit is msgspec decoding each line into plain Python values (for format `record` into
a plain struct with its fields, as in the bench `throughput`); for text it is `bytes.split` into
columns: at quotes, and what is outside of them at blanks. Lines are those of `tests/writers.py`. In
every round both go over the same lines, one after the other, and which comes first changes; the
middle of the rounds counts. CPU time of the process.
"""

from __future__ import annotations

import gc
import os
import random
import statistics
import time
from collections.abc import Callable, Sequence

import msgspec
from tests.bench.simulate import STACKS, START
from tests.bench.throughput import plain_struct
from tests.fuzz.__main__ import some_request
from tests.writers import WRITERS, write

from excise.decode.base import DecodeContext, Decoder
from excise.decode.custom_json import FieldPath
from excise.decode.registry import Format, make_decoder

LINES = 8_192
ROUNDS = 9
CHUNK = 2_048
CONTEXT = DecodeContext(trusted=(), account_key=b"bench")
#: as people write it: times of the upstream, and no quotes where there need be none
TEMPLATE = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer"'
    ' "$http_user_agent" $request_time'
)
MAPPED = (
    ("ts", "msec"),
    ("client", "remote_addr"),
    ("path", "uri"),
    ("status", "status"),
    ("bytes_out", "bytes_sent"),
    ("duration", "request_time"),
    ("user_agent", "http_user_agent"),
)


def limit(name: str, lines: Sequence[bytes]) -> tuple[str, Callable[[], object]]:
    """Return what is the fastest that Python has for lines of a kind, and its name."""
    if name == "record":
        decode = msgspec.json.Decoder(plain_struct()).decode
        return "msgspec, struct", lambda: list(map(decode, lines))
    if lines[0].startswith(b"{"):
        parse = msgspec.json.Decoder().decode
        return "msgspec", lambda: list(map(parse, lines))
    return "bytes.split", lambda: list(map(columns, lines))


def columns(line: bytes) -> list[list[bytes]]:
    """Return a line cut into its columns by `bytes.split` alone."""
    return [part.split(b" ") for part in line.split(b'"')[::2]]


def cases() -> list[tuple[str, Decoder, list[bytes]]]:
    """Return a name, a decoder and lines for every format, and for two that are configured."""
    chance = random.Random(1)
    agents = [stack[2] for stack in STACKS]
    clients = [some_request(chance).client for _ in range(500)]
    requests = [
        msgspec.structs.replace(
            some_request(chance),
            ts=START + i / 10,
            client=chance.choice(clients),
            user_agent=chance.choice(agents),
        )
        for i in range(LINES)
    ]
    found = [
        (name, make_decoder(name, CONTEXT), [write(name, request) for request in requests])
        for name in WRITERS
    ]
    timed = [write("nginx", r) + f" {r.duration:.3f}".encode() for r in requests]
    found.append(("nginx: log_format", make_decoder(Format("nginx", TEMPLATE), CONTEXT), timed))
    fields = tuple(FieldPath(name, ((key,),)) for name, key in MAPPED)
    mapped = [write("nginx-json", request) for request in requests]
    found.append(("json: fields", make_decoder(Format("json", fields=fields), CONTEXT), mapped))
    return found


def measure(decoder: Decoder, lines: list[bytes], alone: Callable[[], object]) -> list[list[float]]:
    """Return seconds of CPU of each round: of the limit, and of the decoder."""

    def decode() -> None:
        for at in range(0, len(lines), CHUNK):
            decoder.decode(lines[at : at + CHUNK])

    taken: list[list[float]] = [[], []]
    for number in range(ROUNDS):
        jobs = [(0, alone), (1, decode)]
        for which, job in jobs if number % 2 else reversed(jobs):
            gc.collect()
            begun = time.process_time()
            job()
            taken[which].append(time.process_time() - begun)
    return taken


def main() -> None:
    """Print a row per format."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(f"{LINES:,} lines of each format, {ROUNDS} rounds; medians, CPU time of one core")
    print(
        f"{'format':20}{'bytes':>6}  {'alone':16}{'µs':>7}{'decoded µs':>12}{'lines/s':>11}  of it"
    )
    for name, decoder, lines in cases():
        decoded = decoder.decode(lines)
        if decoded.rejects or len(decoded.records) != len(lines):
            raise SystemExit(f"{name}: {len(decoded.rejects)} lines rejected")
        what, alone = limit(name, lines)
        limits, ours = measure(decoder, lines, alone)
        shares = [a / b for a, b in zip(limits, ours, strict=True)]
        a_us, b_us = (statistics.median(s) / len(lines) * 1e6 for s in (limits, ours))
        size = sum(map(len, lines)) // len(lines)
        print(
            f"{name:20}{size:6}  {what:16}{a_us:7.2f}{b_us:12.2f}{1e6 / b_us:11,.0f}"
            f"  {statistics.median(shares):.2f}"
        )
