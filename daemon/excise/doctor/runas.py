"""Whether the service's user may do what root was seen to be able to.

The doctor is mostly run as root, who may read everything; the service is not.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from excise.config import InputConfig
from excise.doctor.check import Check, State
from excise.unpack import is_packed

#: what the unit adds to the user's own groups (systemd/excise.service)
UNIT_GROUPS = ("adm", "systemd-journal")
#: a pattern may fit thousands
MOST_FILES = 16


@dataclass(frozen=True, slots=True)
class User:
    """A user to whom the state directory belongs, as the shipped unit runs it."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]

    def may_read(self, path: Path) -> bool:
        """Whether this user may read a file, whatever stands on the way there.

        Takes root; true where that may not become another.
        """
        program = shutil.which("test") or "/usr/bin/test"
        try:
            done = subprocess.run(  # noqa: S603  # a path from the configuration, no shell
                [program, "-r", path],
                user=self.uid,
                group=self.gid,
                extra_groups=list(self.groups),
                check=False,
            )
        except OSError:
            return True
        return done.returncode == 0


def runs_as(state: Path) -> User | None:
    """Return whose the state directory is; None where that is who asks, or this is not root."""
    try:
        uid = state.stat().st_uid
        found = pwd.getpwuid(uid)
    except (OSError, KeyError):
        return None
    if os.geteuid() != 0 or uid == 0:
        return None
    more = {one.gr_gid for one in grp.getgrall() if one.gr_name in UNIT_GROUPS}
    groups = more | set(os.getgrouplist(found.pw_name, found.pw_gid))
    return User(found.pw_name, uid, found.pw_gid, tuple(sorted(groups)))


def check_runas(inputs: Iterable[InputConfig], state: Path) -> Iterator[Check]:
    """Say which logs, and what of its own directory, the service cannot open."""
    user = runs_as(state)
    if user is None:
        return
    for one in inputs:
        yield from _check_files(user, one)
    if others := sorted(_of_others(state, user)):
        text = f"in {state} not all belongs to {user.name}, who cannot start then: "
        advice = f"chown -R {user.name}: {state}"
        yield Check("state directory", State.FAIL, text + ", ".join(others), advice)


def _of_others(state: Path, user: User) -> Iterator[str]:
    for path in state.iterdir():
        try:
            found = path.lstat()
        except FileNotFoundError:  # the daemon's, who is at work
            continue
        if stat.S_ISREG(found.st_mode) and found.st_uid != user.uid:
            yield path.name


def _check_files(user: User, one: InputConfig) -> Iterator[Check]:
    there = [path for path in _files(one) if os.access(path, os.R_OK)]
    closed = [path for path in there[:MOST_FILES] if not user.may_read(path)]
    if closed:
        groups = ", ".join(UNIT_GROUPS)
        text = f"{closed[0]} may be read by root, not by {user.name} (with the groups {groups})"
        advice = f"let its group be adm, and may read it, or give {user.name} its group:"
        advice += " SupplementaryGroups= in systemctl edit excise"
        yield Check("input", State.WARN, text, advice)


def _files(one: InputConfig) -> Sequence[Path]:
    if one.file is None:
        return ()
    if not one.pattern:
        return (one.file,)
    return [Path(name) for name in glob(one.name, recursive=True) if not is_packed(name)]
