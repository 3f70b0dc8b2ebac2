"""What runs on this host that serves a model: /proc, as far as this user may look."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from excise.doctor.listening import Listener, listeners
from excise.doctor.programs import Program, program_of

MOST_PROCESSES = 32_768
MOST_DESCRIPTORS = 4096
_ARGUMENT_BYTES = 8192
_FLAGS = re.compile(r"^flags:\s*([0-7]+)", re.MULTILINE)
_UNIT = re.compile(r"/([A-Za-z0-9@:_.\\-]+\.service)(?:/|$)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Running:
    """A program that runs here: what its processes listen on, and which files they write.

    `readable`: whether this user may see that. `elsewhere`: in another network namespace.
    """

    program: Program
    sockets: tuple[Listener, ...] = ()
    logs: tuple[str, ...] = ()
    unit: str = ""
    readable: bool = True
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Survey:
    """What listens and what runs; `problem` says why what listens is not known.

    `tls_ports`: those of gateways that were asked, and answered as TLS does.
    """

    listening: tuple[Listener, ...] = ()
    running: tuple[Running, ...] = ()
    problem: str = ""
    tls_ports: frozenset[int] = frozenset()

    def programs(self) -> tuple[Program, ...]:
        """Return the programs that run, each once."""
        return tuple(dict.fromkeys(one.program for one in self.running))

    def owners(self, port: int) -> list[str]:
        """Return who listens on a port, by name."""
        found = [r.program.name for r in self.running if any(s.port == port for s in r.sockets)]
        return list(dict.fromkeys(found))


def survey(proc: Path = Path("/proc")) -> Survey:
    """Look at the host."""
    problem, sockets = "", []
    try:
        sockets = listeners(proc / "self" / "net")
    except OSError as error:
        problem = str(error)
    by_inode = {one.inode: one for one in sockets}
    merged: dict[tuple[Program, bool], Running] = {}
    for one in _processes(proc, by_inode):
        key = (one.program, one.elsewhere)
        merged[key] = _merge(merged[key], one) if key in merged else one
    return Survey(tuple(sockets), tuple(merged.values()), problem)


def _merge(one: Running, other: Running) -> Running:
    return Running(
        one.program,
        tuple(dict.fromkeys((*one.sockets, *other.sockets))),
        tuple(dict.fromkeys((*one.logs, *other.logs))),
        one.unit or other.unit,
        one.readable or other.readable,
        one.elsewhere,
    )


def _processes(proc: Path, by_inode: dict[int, Listener]) -> Iterator[Running]:
    here = _link(proc / "self" / "ns" / "net")
    names = (name for name in sorted(os.listdir(proc)) if name.isdigit())
    for _, name in zip(range(MOST_PROCESSES), names, strict=False):
        one = proc / name
        argv = _read(one / "cmdline").split("\0")
        program = program_of(_read(one / "comm").strip(), argv)
        if program is None:
            continue
        there = _link(one / "ns" / "net")
        inodes, logs, readable = _descriptors(one)
        yield Running(
            program,
            tuple(by_inode[inode] for inode in inodes if inode in by_inode),
            tuple(logs),
            _unit(_read(one / "cgroup")),
            readable,
            elsewhere=bool(there and here and there != here),
        )


def _descriptors(process: Path) -> tuple[list[int], list[str], bool]:
    """Return the sockets and the plain files open for writing, and whether one may look."""
    inodes: list[int] = []
    logs: list[str] = []
    try:
        names = os.listdir(process / "fd")[:MOST_DESCRIPTORS]
    except OSError:
        return [], [], False
    for name in names:
        target = _link(process / "fd" / name)
        if target.startswith("socket:["):
            inodes.append(int(target[8:-1]))
        elif target.startswith("/") and _written(process, name) and _plain_file(target):
            logs.append(target)
    return inodes, logs, True


def _written(process: Path, name: str) -> bool:
    flags = _FLAGS.search(_read(process / "fdinfo" / name))
    return flags is not None and int(flags[1], 8) & os.O_ACCMODE != os.O_RDONLY


def _plain_file(path: str) -> bool:
    try:
        return path.isprintable() and stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):  # deleted, or in another mount namespace
        return False


def _unit(cgroup: str) -> str:
    found = _UNIT.findall(cgroup)
    return found[-1] if found else ""


def _link(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_ARGUMENT_BYTES).decode(errors="replace")
    except OSError:  # it has ended, or is not ours to read
        return ""
