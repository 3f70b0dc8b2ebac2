"""A log written at 5,000 lines a second, rotated by logrotate, read by a reader that is killed.

Three processes, as on a host: a writer, one write(2) a line; logrotate itself, with `create` and
a signal to the writer, or with `copytruncate`, both with `compress` and `delaycompress`; and a
reader, `FileTail` with a database that takes each chunk's lines and its cursor in one transaction,
as the daemon's store does. The reader is killed with SIGKILL in half of the rotations, before,
during or after them, and stays away for up to two more, so that what it missed is compressed.

Afterwards every line is looked for: among what the reader stored, and in the files.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from excise.sources.base import Cursor
from excise.sources.file_tail import FileTail
from excise.sources.inotify import Inotify

LINES_S = 5000
ROTATIONS = 20
#: lines are written in bursts so far apart: sleeping is no finer
BURST_S = 0.002
ROOT = Path(__file__).resolve().parents[2]
LOGROTATE = shutil.which("logrotate") or "/usr/sbin/logrotate"
RENAME, COPYTRUNCATE = "rename", "copytruncate"
RULES = {
    RENAME: "create\n  postrotate\n    kill -USR1 {writer}\n  endscript",
    COPYTRUNCATE: "copytruncate",
}
SEED = 7
LINE = b'{"ts": 1750000000.%06d, "n": %09d, "client": "203.0.113.7", "path": "/v1/completions"}\n'


@dataclass
class Outcome:
    """What became of the lines. `gone`: neither read nor in any file, so logrotate lost them."""

    method: str
    rotations: int
    kills: int
    written: int
    read: int
    doubled: int
    missed: int
    gone: int
    breaks: int
    lines_s: int


# The writer -------------------------------------------------------------------------------------


def write(log: Path) -> None:
    """Write numbered lines until SIGTERM; open the log anew at SIGUSR1. Prints how many."""
    asked = {"stop": False, "reopen": False}
    signal.signal(signal.SIGTERM, lambda *_: asked.update(stop=True))
    signal.signal(signal.SIGUSR1, lambda *_: asked.update(reopen=True))
    fd = _open(log)
    print("ready", flush=True)
    begun, count = time.monotonic(), 0
    parent = os.getppid()
    while not asked["stop"] and os.getppid() == parent:  # nobody writes on for a run that died
        due = int((time.monotonic() - begun) * LINES_S)
        while count < due:
            os.write(fd, LINE % (count % 1_000_000, count))
            count += 1
        if asked["reopen"]:
            asked["reopen"] = False
            os.close(fd)
            fd = _open(log)
        time.sleep(BURST_S)
    print(count, flush=True)


def _open(log: Path) -> int:
    return os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)


# The reader -------------------------------------------------------------------------------------


def read(log: Path, database: Path) -> None:
    """Follow the log while the run lives; keep each chunk's lines with its cursor."""
    db = sqlite3.connect(database, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE IF NOT EXISTS lines (n INTEGER)")
    db.execute("CREATE TABLE IF NOT EXISTS place (id INTEGER PRIMARY KEY, cursor TEXT, lost INT)")
    tail = FileTail(log, from_start=True, inotify=Inotify())
    lost = 0
    if row := db.execute("SELECT cursor, lost FROM place").fetchone():
        tail.seek(Cursor.from_dict(msgspec.json.decode(row[0])))
        lost = row[1]

    parent = os.getppid()

    async def follow() -> None:
        nonlocal lost
        while os.getppid() == parent:
            chunk = tail.poll()
            if chunk is None:
                with suppress(TimeoutError):
                    await asyncio.wait_for(tail.changed(), 1.0)
                continue
            lost += chunk.lost
            cursor = msgspec.json.encode(chunk.cursor.to_dict()).decode()
            db.execute("BEGIN")
            db.executemany("INSERT INTO lines VALUES (?)", [(_n(line),) for line in chunk.lines])
            db.execute("INSERT OR REPLACE INTO place VALUES (1, ?, ?)", (cursor, lost))
            db.execute("COMMIT")

    asyncio.run(follow())


def _n(line: bytes) -> int:
    return int(line[line.index(b'"n": ') + 5 :][:9])


# The run ----------------------------------------------------------------------------------------


class Run:
    """One log, one method of rotation."""

    def __init__(self, directory: Path, method: str, seed: int) -> None:
        self.directory, self.method, self.rng = directory, method, random.Random(seed)
        directory.chmod(0o755)  # logrotate does nothing where others may write
        self.log, self.database = directory / "access.log", directory / "read.db"
        self.kills = 0
        self.begun_s = time.monotonic()
        self.writer = self._start("write", self.log, stdout=subprocess.PIPE)
        self.writer.stdout.readline()
        rules = RULES[method].format(writer=self.writer.pid)
        self.rules = directory / "logrotate.conf"
        self.rules.write_text(
            f"{self.log} {{\n  rotate 999\n  size 1\n  compress\n  delaycompress\n  {rules}\n}}\n"
        )
        self.reader = self._start("read", self.log, self.database)
        while not self._read():  # before its first line a reader has no place to come back to
            time.sleep(0.01)

    def rotate(self) -> None:
        """Have logrotate rotate."""
        state = self.directory / "logrotate.state"
        subprocess.run([LOGROTATE, "-f", "-s", state, self.rules], check=True, capture_output=True)

    def turn(self, pause_s: float, rotations: int) -> None:
        """Rotate so often, and kill the reader in half of the cases."""
        away = 0
        for number in range(rotations):
            time.sleep(pause_s)
            killing = self.reader is not None and self.rng.random() < 0.5
            when = self.rng.choice(("before", "during", "after")) if killing else ""
            if when == "before":
                self._kill()
            if when == "during":
                rotating = subprocess.Popen(self._slowly(), stdout=subprocess.DEVNULL)
                time.sleep(self.rng.random() * 0.02)
                self._kill()
                rotating.wait()
            else:
                self.rotate()
            if when == "after":
                self._kill()
            if killing:
                away = self.rng.choice((0, 0, 1, 2))
            if self.reader is None and (away <= 0 or number == rotations - 1):
                self.reader = self._start("read", self.log, self.database)
            away -= 1
        time.sleep(pause_s)

    def finish(self, rotations: int) -> Outcome:
        """Stop the writer, let the reader come to the end, and count."""
        begun = time.monotonic()
        self.writer.terminate()
        written = int(self.writer.stdout.readline())
        self.writer.wait()
        present = self._in_files()
        deadline = begun + 60.0
        while time.monotonic() < deadline and not present <= self._read().keys():
            time.sleep(0.05)
        self._kill()
        got = self._read()
        with sqlite3.connect(self.database) as db:
            (breaks,) = db.execute("SELECT lost FROM place").fetchone()
        expected = set(range(written))
        return Outcome(
            method=self.method,
            rotations=rotations,
            kills=self.kills - 1,
            written=written,
            read=len(got),
            doubled=sum(count - 1 for count in got.values()),
            missed=len(present - got.keys()),
            gone=len(expected - present - got.keys()),
            breaks=breaks,
            lines_s=round(written / (begun - self.begun_s)),
        )

    def close(self) -> None:
        """End whatever still runs."""
        for process in (self.writer, self.reader):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        self.writer.stdout.close()

    def _start(self, verb: str, *arguments: Path, **how: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.bench.rotation", verb, *map(str, arguments)]
        return subprocess.Popen(command, cwd=ROOT, **how)

    def _slowly(self) -> list[str]:
        state = self.directory / "logrotate.state"
        return [LOGROTATE, "-f", "-s", str(state), str(self.rules)]

    def _kill(self) -> None:
        self.reader.kill()
        self.reader.wait()
        self.reader = None
        self.kills += 1

    def _read(self) -> Counter[int]:
        with sqlite3.connect(self.database) as db:
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'place'").fetchone():
                return Counter()
            return Counter(n for (n,) in db.execute("SELECT n FROM lines"))

    def _in_files(self) -> set[int]:
        found: set[int] = set()
        for path in self.directory.glob("access.log*"):
            opened = gzip.open if path.suffix == ".gz" else open
            with opened(path, "rb") as stream:
                found |= {_n(line) for line in stream}
        return found


def rotate_and_count(method: str, rotations: int, pause_s: float, seed: int = SEED) -> Outcome:
    """Run one method; return what became of the lines."""
    with tempfile.TemporaryDirectory(prefix="excise-rotation-") as name:
        run = Run(Path(name), method, seed)
        try:
            run.turn(pause_s, rotations)
            return run.finish(rotations)
        finally:
            run.close()


def main() -> int:
    """Run both methods, rotations a second apart, and print what became of the lines.

    Returns 1 if a line was lost that logrotate kept, or one was doubled.
    """
    worst = 0
    print("method        rotations  kills  written     read  doubled  missed  lost by logrotate")
    for method in (RENAME, COPYTRUNCATE):
        done = rotate_and_count(method, ROTATIONS, 1.0)
        print(
            f"{method:<12}{done.rotations:>11}{done.kills:>7}{done.written:>9}{done.read:>9}"
            f"{done.doubled:>9}{done.missed:>8}{done.gone:>19}"
        )
        worst |= bool(done.doubled or done.missed or (done.gone and method == RENAME))
    return worst


def _command() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rotation")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, paths in (("write", ("log",)), ("read", ("log", "database"))):
        sub = verbs.add_parser(verb)
        for path in paths:
            sub.add_argument(path, type=Path)
    run = verbs.add_parser("run")
    run.add_argument("method", choices=[*RULES])
    run.add_argument("--rotations", type=int, default=ROTATIONS)
    run.add_argument("--pause", type=float, default=1.0, metavar="SECONDS")
    given = parser.parse_args()
    if given.verb == "write":
        write(given.log)
    elif given.verb == "read":
        read(given.log, given.database)
    else:
        print(json.dumps(asdict(rotate_and_count(given.method, given.rotations, given.pause))))


if __name__ == "__main__":
    _command()
