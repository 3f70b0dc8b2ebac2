"""What the kernel was told, and when: `nft monitor` with the time of arrival of each line.

Run as `python -m demo.kernel` inside the server's namespace; prints one JSON line per element.
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import time
from dataclasses import asdict, dataclass

_LINE = re.compile(r"^(add|delete) element (ip6?) (\S+) (\S+) \{ (\S+)")


@dataclass(frozen=True)
class Told:
    """One element added to or deleted from a set at `ts` (epoch seconds)."""

    ts: float
    op: str
    table: str
    set: str
    element: str


def parse(line: str, ts: float) -> Told | None:
    """Read a line of `nft monitor elements`; None for anything else."""
    match = _LINE.match(line)
    if match is None:
        return None
    op, _, table, name, element = match.groups()
    return Told(ts, op, table, name, element)


def main() -> None:
    argv = ["nft", "--numeric", "monitor", "elements"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as monitor:
        signal.signal(signal.SIGTERM, lambda *_: monitor.terminate())
        assert monitor.stdout is not None
        with contextlib.suppress(KeyboardInterrupt):
            for line in monitor.stdout:
                told = parse(line, time.time())
                if told is not None:
                    print(json.dumps(asdict(told)), flush=True)


if __name__ == "__main__":
    main()
