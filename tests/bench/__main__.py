"""Benches by name: `python -m tests.bench [NAME...]`, all of them without a name.

A bench is a module of this folder with `main()`, which prints what it measured and returns an
exit status, or None for 0.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Callable
from pathlib import Path


def benches() -> dict[str, Callable[[], int | None]]:
    """Return every bench by name."""
    found = {}
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if not module.name.startswith("_"):
            main = getattr(importlib.import_module(f"tests.bench.{module.name}"), "main", None)
            if main is not None:
                found[module.name] = main
    return found


def run() -> int:
    known = benches()
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known) or "none yet")
    names = parser.parse_args().names or list(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"no bench named {', '.join(unknown)}; there are {', '.join(known)}")
    worst = 0
    for name in names:
        print(f"== {name}", flush=True)
        worst = max(worst, known[name]() or 0)
    return worst


if __name__ == "__main__":
    sys.exit(run())
