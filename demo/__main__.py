"""`python -m demo [--gateway NAME] [--keep | --stop]`: see the package.

Status 0 only if all of it was observed.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from types import FrameType

from demo.checks import BOLD, GREEN, RED, Checks, paint
from demo.fronts import FRONTS
from demo.shapes import client_addresses
from demo.story import Story
from demo.world import World, WorldError, stop_kept

INTERRUPTED = 130
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m demo")
    parser.add_argument("--gateway", choices=FRONTS, default="nginx", help="what is in front")
    parser.add_argument("--keep", action="store_true", help="leave it running and say how to look")
    parser.add_argument("--stop", action="store_true", help="end what --keep left")
    args = parser.parse_args()
    if args.stop:
        print(f"stopped {stop_kept()} demo(s)")
        return 0
    for number in STOPPING:
        signal.signal(number, interrupt)
    try:
        return run(front=args.gateway, keep=args.keep)
    except WorldError as error:
        print(paint(f"demo: {error}", RED), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; everything was taken down", file=sys.stderr)
        return INTERRUPTED


def run(*, front: str, keep: bool) -> int:
    checks, began = Checks(), time.monotonic()
    world = World.make(client_addresses())
    kept = False
    try:
        story = Story(world, checks, front)
        story.tell()
        if keep:
            world.keep()
            kept = True
        else:
            story.lifted()
    finally:
        if not kept:
            take_down(world)
    if not kept:
        checks.that("everything was taken down", world.gone())
    status = verdict(checks, time.monotonic() - began)
    if kept:
        print(how_to_look(world))
    return status


def take_down(world: World) -> None:
    """Remove everything; an impatient second Ctrl-C must not leave half of it."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    world.close()


def verdict(checks: Checks, took_s: float) -> int:
    print()
    if checks.all_held:
        print(paint(f"All {checks.passed} observations held, in {took_s:.0f} s.", GREEN))
        return 0
    print(paint(f"{len(checks.failed)} observation(s) did not hold:", RED))
    for name in checks.failed:
        print(f"  {name}")
    return 1


def how_to_look(world: World) -> str:
    excise = f"{sys.executable} -m excise"
    config = f"--config {world.path('excise.yaml')}"
    lines = [
        paint("It is left running. Look around:", BOLD),
        f"  {excise} status {config}",
        f"  {excise} sources {config}",
        f"  {excise} events {config}",
        f"  ip netns exec {world.server} nft list table ip excise",
        f"  ip netns exec {world.client} ip addr",
        f"  tail -f {world.path('excise.log')}",
        f"  control socket: {world.path('control.sock')}",
        *(f"  {p.name}: pid {p.pid}" for p in world.processes),
        paint(f"Stop it: {sys.executable} -m demo --stop", BOLD),
    ]
    return "\n" + "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
