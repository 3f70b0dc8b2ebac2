"""Benches by name: `python -m tests.bench [NAME [FILE]]...`, all of them without a name.

A bench is a module of this folder with `main()`, which prints what it measured and returns an
exit status, or None for 0. A file goes to the bench before it, where that takes one.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import pkgutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path


def benches() -> dict[str, Callable[..., int | None]]:
    """Return every bench by name."""
    found = {}
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if not module.name.startswith("_"):
            main = getattr(importlib.import_module(f"tests.bench.{module.name}"), "main", None)
            if main is not None:
                found[module.name] = main
    return found


def run() -> int:
    # so that one who is told to end takes its namespaces down
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    known = benches()
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("words", nargs="*", metavar="NAME [FILE]", help=", ".join(known))
    chosen: list[tuple[str, list[Path]]] = []
    for word in parser.parse_args().words or list(known):
        if word in known:
            chosen.append((word, []))
        elif chosen and Path(word).is_file():
            chosen[-1][1].append(Path(word))
        else:
            parser.error(f"no bench named {word} and no file; there are {', '.join(known)}")
    for name, files in chosen:
        if len(files) > len(inspect.signature(known[name]).parameters):
            parser.error(f"{name} does not take {files[-1]}")
    worst = 0
    for name, files in chosen:
        print(f"== {name}", flush=True)
        worst = max(worst, known[name](*files) or 0)
    return worst


if __name__ == "__main__":
    sys.exit(run())
