"""Every file that a pattern names, whenever it appears: one input loop each."""

from __future__ import annotations

import asyncio
import glob
import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from itertools import takewhile
from pathlib import Path

from excise.config import InputConfig
from excise.daemon.core import Core
from excise.daemon.inputs import InputLoop
from excise.daemon.silence import SILENT, Hearing
from excise.model.view import InputView
from excise.rotation import logs_among
from excise.sources.base import State
from excise.sources.log_file import rotated

LOOK_S = 1.0
MOST_FILES = 1024
#: stored under the pattern's own name: from now on a file that is new is new
BEGUN = '{"begun":1}'

Beat = Callable[[], None]
#: opens a file's loop; True: from the file's start
OpenLoop = Callable[[Path, bool], InputLoop]


@dataclass(slots=True)
class Gather:
    """Follows the files of one pattern.

    On a first start they begin where the configuration says. Afterwards a file without a stored
    place has appeared since, and is read from its start. `loops` is the daemon's list, `known`
    the names that have a stored place, `taken` those that some input follows: none is followed
    twice, though several patterns fit it.
    """

    item: InputConfig
    core: Core
    open_loop: OpenLoop
    loops: list[InputLoop]
    known: frozenset[str]
    hearing: Hearing
    begun: bool = False
    looked: bool = False
    problem: str = ""
    names: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)
    prepared: list[InputLoop] = field(default_factory=list)

    def prepare(self) -> None:
        """Look once before anything runs: what is there now catches up with all other inputs."""
        self.prepared += self.missing()

    def missing(self) -> list[InputLoop]:
        """Return loops for the files that have none yet, and note that they have."""
        found = [*find(self.item, self.names)]
        if not self.looked:
            found += self._stored(found)
        fresh = [path for path in found if str(path) not in self.taken]
        room = MOST_FILES - len(self.names)
        self._complain(found, len(fresh) > room)
        opened = []
        for path in fresh[:room]:
            new = self.begun or self.looked
            loop = self.open_loop(path, new or self.item.from_start)
            self.names.add(str(path))
            self.taken.add(str(path))
            opened.append(loop)
        self.looked = True
        return opened

    def _stored(self, found: list[Path]) -> list[Path]:
        """Return files followed before of which only rotated parts are left; forget the others."""
        left = []
        for path in stored_names(self.item, self.known):
            if path in found:
                continue
            if path.exists() or rotated(path):
                left.append(path)
            else:
                self.core.forget(str(path))
        return left

    async def run(self, spawn: Callable[[InputLoop], asyncio.Task[None]], beat: Beat) -> None:
        """Look every second; start what is new, let go of what has ended."""
        while True:
            beat()
            for loop in (*self.prepared, *self.missing()):
                self.loops.append(loop)
                spawn(loop).add_done_callback(partial(self._ended, loop))
            self.prepared.clear()
            if not self.begun:
                self.begun = True
                await self.core.feed(self.item.name, [], BEGUN)
            await asyncio.sleep(LOOK_S)

    def view(self) -> InputView | None:
        """Return how the pattern stands, where no file speaks for it."""
        if self.names and not self.problem:
            return None
        silent = self.hearing.silent
        state = SILENT if silent else State.BLIND if self.problem else State.WAITING
        return InputView(
            name=self.item.name,
            format=self.item.format_name,
            state=str(state),
            position={},
            lag_bytes=0,
            lines=0,
            records=0,
            rejects={},
            unknown_fields=0,
            last_line_ts=None,
            problem=self.problem or silent,
        )

    def _complain(self, found: list[Path], crowded: bool) -> None:
        """Say once what is wrong with the pattern, and once that it is well again."""
        problem = ""
        if crowded:
            problem = f"more than {MOST_FILES} files fit; those beyond are not read"
        elif not found and not self.names:
            problem = why_none(self.item)
        if problem and not self.problem:
            self.core.alarm("input-blind", f"{self.item.name}: {problem}")
        elif self.problem and not problem:
            self.core.alarm("input-recovered", f"{self.item.name} is read again")
        self.problem = problem

    def _ended(self, loop: InputLoop, task: asyncio.Task[None]) -> None:
        """Forget a file that is gone; one that was cut short by the end of the daemon is not."""
        if task.cancelled():
            return
        loop.source.close()
        self.loops.remove(loop)
        self.names.discard(loop.name)
        self.taken.discard(loop.name)
        self.core.forget(loop.name)


def find(item: InputConfig, known: Iterable[str] = ()) -> list[Path]:
    """Return the files that a pattern names, in order, without rotated ones and second names."""
    in_directory: dict[str, list[str]] = defaultdict(list)
    for fitting in glob.iglob(item.name, recursive=True):
        if not os.path.isdir(fitting):
            directory, name = os.path.split(fitting)
            in_directory[directory].append(name)
    bases = [os.path.basename(name) for name in known]
    real: dict[str, Path] = {}
    for directory, names in sorted(in_directory.items()):
        real_directory = os.path.realpath(directory)
        for name in logs_among(names, bases):
            path = os.path.join(directory, name)
            link = os.path.islink(path)
            there = os.path.realpath(path) if link else os.path.join(real_directory, name)
            if there not in real or not link:
                real[there] = Path(path)
    return sorted(real.values())


def why_none(item: InputConfig) -> str:
    """Return why no file may fit a pattern: its directory is not there, or is closed to us."""
    fixed = Path(*takewhile(lambda part: not glob.has_magic(part), Path(item.name).parts))
    if not fixed.exists():
        return f"{fixed} does not exist; files are read as soon as they appear"
    if not os.access(fixed, os.R_OK | os.X_OK):
        return f"{fixed}: Permission denied; give the user that runs excise the right to look"
    return "no file fits yet; they are read as soon as they appear"


def stored_names(item: InputConfig, stored: Iterable[str]) -> list[Path]:
    """Return the stored names that fit a pattern: files that were followed before."""
    fitting = (name for name in stored if name != item.name and fnmatchcase(name, item.name))
    return [Path(name) for name in sorted(fitting)]
