"""Where benches measure: network namespaces of their own, never the host's."""

from __future__ import annotations

import ctypes
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.world import WorldError, command

CLONE_NEWNET = 0x40000000  # linux/sched.h


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Enter a network namespace with this thread; sockets made there stay there."""
    libc = ctypes.CDLL(None, use_errno=True)
    there = Path("/run/netns") / namespace
    with Path("/proc/thread-self/ns/net").open("rb") as home, there.open("rb") as target:
        if libc.setns(target.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter namespace {namespace}")
        try:
            yield
        finally:
            if libc.setns(home.fileno(), CLONE_NEWNET):
                os.abort()  # going on in a foreign namespace would be worse


@contextmanager
def namespace() -> Iterator[str]:
    """Make an empty network namespace, and remove it. Raises WorldError."""
    if os.geteuid() != 0:
        raise WorldError("network namespaces are made here: run it as root")
    name = f"excise-bench-{uuid.uuid4().hex[:8]}"
    command("ip", "netns", "add", name)
    try:
        command("ip", "-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        command("ip", "netns", "del", name, check=False)


def entering(namespace: str, *argv: str) -> list[str]:
    """Return a command that runs another one in a namespace."""
    return ["ip", "netns", "exec", namespace, *argv]


def missing(*programs: str) -> list[str]:
    """Return those of the programs that are not installed."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    return [p for p in programs if not shutil.which(p, path=path)]
