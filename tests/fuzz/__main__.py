"""Mutated log lines through every decoder, for so many seconds: `python -m tests.fuzz [SECONDS]`.

Three promises are tried, on the annotated samples and on lines as gateways write them:

- **damage** (bytes flipped, cut, repeated, two lines mixed) raises nothing: every line becomes a
  record within the record's bounds, or a reject with a reason;
- **company**: a line among others, or among its likes, gives what it gives alone, so the quick way
  tells no other story than the careful one;
- **words**: a client that writes what it likes into its user agent or path, escaped as the gateway
  escapes it, changes that field and no other.

The seed is printed; the same seed gives the same lines. Exit status 1 at the first broken promise,
with the line that broke it.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path

import msgspec
from tests.fuzz.configured import CONFIGURED, CONFIGURED_WRITERS
from tests.writers import FIELDS, WRITERS

from excise.decode.base import DecodeContext, Decoder
from excise.decode.envelope import strip
from excise.decode.registry import FORMATS, detect, make_decoder
from excise.decode.trust import parse_networks
from excise.errors import FormatError
from excise.model.record import Decoded, Record

SAMPLES = Path(__file__).parents[1] / "samples"
CONTEXT = DecodeContext(trusted=parse_networks(["198.51.100.0/24"]), account_key=b"fuzz")
TOGETHER = 24
FORMATS_HERE = {**{name: name for name in FORMATS}, **CONFIGURED}
ALL_WRITERS = {**WRITERS, **CONFIGURED_WRITERS}
PIECES = [
    *(b'"', b"\\", b"\\x22", b'\\"', b"\\u0022", b"\\ud800", b"#22", b"\xff", b"\x00", b"\x1b[31m"),
    *(b"{", b"}", b"[", b"]", b",", b":", b" ", b"\t", b"\r", b"-", b"null", b"1e999", b"NaN"),
    *(b"203.0.113.9", b"::1", b"unix:", b'"client":"203.0.113.9"', b'" 200 1 "-" "', b"9" * 400),
    *(b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x80", b"\x7f", b"\x85", b"\\u0000"),
    *(b"-, -", b"0.1, 0.2 : 0.3", b", ", b" : ", b"0", b"true", b'[""]', b"{}", b'"" :', b"\\x5C"),
    *(b"unknown", b"[::1]:80", b"192.0.2.7:80", b"::ffff:192.0.2.7", b"%eth0", b"for=", b"1e3"),
    *(b"<13>1 ", b"2026-11-23T14:37:26Z stdout P ", b'{"log":"', b"1.5", b"-1", b"\xe2\x80\xae"),
]
HOSTILE = [
    *('" 200 1 "-" "x', '","remote_addr":"203.0.113.9', "\\", '\\"', "\\x22", "#22", "%22"),
    *("\u202e", "\x7f", "\t", "é", "日本", "}{", "] ", " - - [", "null", "0" * 600, "://", "x y"),
]
#: fields of their own that a client writes into, by the formats whose writers escape them
WORDS = {name: ["user_agent"] for name in FIELDS if "user_agent" in FIELDS[name]}
del WORDS["envoy"]  # escapes nothing: what it cannot tell it rejects, see its samples
for _name in ("record", "nginx-json", "envoy-json", "envoy-ai-gateway", "caddy", "traefik-json"):
    WORDS[_name] = ["user_agent", "path"]
WORDS |= {name: ["user_agent"] for name in CONFIGURED}


class BrokenError(Exception):
    """A promise does not hold."""


def sample_lines() -> dict[str, list[bytes]]:
    """Return the annotated lines of every format, and lines as gateways write them."""
    found: dict[str, list[bytes]] = {}
    for name in FORMATS:
        lines = (SAMPLES / f"{name}.log").read_bytes().splitlines()
        pairs = zip(lines[::2], lines[1::2], strict=True)
        found[name] = [bytes.fromhex(b.decode()) if b'"hex": true' in a else b for a, b in pairs]
    chance = random.Random(1)
    for name in CONFIGURED:
        found[name] = [write(name, some_request(chance)) for _ in range(8)]
    return found


def write(name: str, request: Record) -> bytes:
    return ALL_WRITERS[name](request).encode(errors="surrogateescape")


def decoder(name: str) -> Decoder:
    return make_decoder(FORMATS_HERE[name], CONTEXT)


def some_request(chance: random.Random) -> Record:
    host = chance.choice(
        [f"192.0.2.{chance.randrange(256)}", f"2001:db8::{chance.getrandbits(16):x}"]
    )
    return Record(
        ts=float(1_795_444_646 + chance.randrange(86_400)),
        client=host if host != "2001:db8::0" else "2001:db8::1",
        client_port=chance.randrange(1, 65_536),
        account="k_1",
        org="o_1",
        method="POST",
        path="/v1/chat/completions",
        status=chance.choice([200, 200, 429, 500]),
        model="m-mid",
        request_id=f"{chance.getrandbits(64):016x}",
        input_tokens=chance.randrange(10_000),
        output_tokens=chance.randrange(10_000),
        bytes_in=chance.randrange(10**6),
        bytes_out=chance.randrange(10**6),
        duration=chance.randrange(60_000) / 1000,
        ttfb=0.0,
        tls="TLSv1.3",
        sni="llm.example.net",
        alpn="h2",
        user_agent=chance.choice(["OpenAI/Python 2.8.0", "curl/8.16.0"]),
    )


def damaged(line: bytes, other: bytes, chance: random.Random) -> bytes:
    """Return a line after one mutation or a few, without newlines."""
    for _ in range(chance.choice((1, 1, 1, 1, 2, 3, 4))):
        at = chance.randrange(len(line) + 1)
        end = min(len(line), at + chance.randrange(12))
        kind = chance.randrange(7)
        if kind == 0 and line:
            at = min(at, len(line) - 1)
            line = line[:at] + bytes([line[at] ^ 1 << chance.randrange(8)]) + line[at + 1 :]
        elif kind == 1:
            line = line[:at] + line[end:]
        elif kind == 2:
            line = line[:at] + chance.choice(PIECES) + line[at:]
        elif kind == 3:
            line = line[:at] + chance.choice(PIECES) + line[end:]
        elif kind == 4:
            line = line[:end] + line[at:]
        elif kind == 5:
            line = line[:at] + other[chance.randrange(len(other) + 1) :]
        else:
            line = line[:at]
    return line.replace(b"\n", b" ")


def bare(line: bytes) -> bytes:
    """Return a line without what carries it, and what carries that."""
    inner = strip(line)
    return line if inner == line else bare(inner)


def check_damage(name: str, line: bytes) -> Decoded:
    """Raise BrokenError unless a line becomes a sound record or a reject with a reason."""
    decoded = decoder(name).decode([line])
    told_ = len(decoded.records) + len(decoded.rejects)
    # An unfinished line of a container's log waits for its end.
    if not told_ and line.strip() and strip(line) == line:
        raise BrokenError("neither record nor reject")
    for record in decoded.records:
        fields = msgspec.structs.asdict(record)
        fields["prompt"] = list(record.prompt)
        known = {k: v for k, v in fields.items() if v != _DEFAULTS[k]}
        if msgspec.convert(known, Record) != record or record.peer == record.client:
            raise BrokenError(f"no sound record: {record}")
    if any(len(reject.reason) > 40 for reject in decoded.rejects):
        raise BrokenError("a reason that is not short")
    return decoded


_DEFAULTS = msgspec.structs.asdict(Record(ts=0.0, client=""))


def check_company(name: str, lines: list[bytes]) -> None:
    """Raise BrokenError unless lines together give what each gives alone."""
    together = decoder(name).decode(lines)
    alone = [decoder(name).decode([line]) for line in lines]
    _compare([r for d in alone for r in d.records], together.records, lines)
    _compare([r for d in alone for r in d.rejects], together.rejects, lines)


def _compare(alone: Sequence[object], together: Sequence[object], lines: list[bytes]) -> None:
    if alone != together:
        pairs = zip_longest(alone, together)
        odd = next((one, other) for one, other in pairs if one != other)
        raise BrokenError(f"alone {odd[0]}\ntogether {odd[1]}\namong {lines}")


def check_words(name: str, request: Record, field: str, words: str) -> bytes:
    """Raise BrokenError if a client's words change more than their own field."""
    honest = decoder(name).decode([write(name, request)]).records
    line = write(name, msgspec.structs.replace(request, **{field: words}))
    found = decoder(name).decode([line, line]).records
    expected = [msgspec.structs.replace(r, **{field: getattr(honest[0], field)}) for r in found]
    if len(found) != 2 or expected != honest * 2:
        raise BrokenError(f"{field} {words!r} changed another field, line {line!r}")
    return line


def try_one(
    chance: random.Random, lines: dict[str, list[bytes]], names: list[str], counts: Counter[str]
) -> None:
    name = chance.choice(names)
    if chance.random() < 0.2 and name in WORDS:
        field = chance.choice(WORDS[name])
        words = "/x" if field == "path" else "x"
        words += "".join(chance.choice(HOSTILE) for _ in range(chance.randint(1, 4)))
        check_words(name, some_request(chance), field, words)
        counts["words"] += 1
        return
    good = [write(name, some_request(chance)) for _ in range(TOGETHER // 2)]
    other = chance.choice(lines[chance.choice(list(lines))])
    bad = [damaged(chance.choice(lines[name]), other, chance) for _ in range(TOGETHER // 2)]
    for line in bad:
        decoded = check_damage(name, line)
        counts["records" if decoded.records else "rejects"] += 1
        if name != "uvicorn" and (plain := bare(line)):
            check_company(name, [plain] * chance.choice((2, 3, 9)))
    # What carries lines is found out once for a log: here, that nothing does.
    mixed = [bare(line) for line in [*good, *bad]] if name != "uvicorn" else good
    chance.shuffle(mixed)
    check_company(name, [good[0], *mixed])
    if chance.random() < 0.05 and name in FORMATS:
        try:
            counts[f"taken for {detect(bad, CONTEXT)}"] += 1
        except FormatError:
            counts["taken for none"] += 1


def run(
    seconds: float,
    seed: int,
    only: list[str] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Fuzz these formats, or all, for so many seconds; return an exit status."""
    chance, lines, counts = random.Random(seed), sample_lines(), Counter[str]()
    names = only or list(lines)
    print(f"fuzzing {len(names)} formats for {seconds:g} s, seed {seed}", flush=True)
    assert set(lines) == set(ALL_WRITERS), "a format without a writer"
    end = clock() + seconds
    rounds = 0
    while clock() < end:
        state = chance.getstate()
        try:
            try_one(chance, lines, names, counts)
        except Exception as error:  # whatever it is, it is what we are looking for
            print(f"round {rounds}: {type(error).__name__}: {error}")
            replayed = random.Random()
            replayed.setstate(state)
            print(f"format {replayed.choice(names)}")
            raise
        rounds += 1
    print(json.dumps({"rounds": rounds} | counts))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("seconds", nargs="?", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--format", action="append", choices=FORMATS_HERE, help="this one alone")
    arguments = parser.parse_args()
    return run(arguments.seconds, arguments.seed, arguments.format)


if __name__ == "__main__":
    sys.exit(main())
