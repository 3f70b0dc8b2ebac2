"""Accounts that nothing joins but that are used alike: drawn from a pool, apart, and of one shape.

Cells are of an octave of typical output and input tokens; a cohort is a window of 3 by 3.
"""

from __future__ import annotations

import numpy as np

from excise.campaigns.accounts import POOLED, Accounts
from excise.campaigns.alike import alike
from excise.features.conduct import AT
from excise.features.interner import Rows
from excise.features.state import Matrix
from excise.features.values import Bools

#: share of prompts that begin a conversation; people's are below half
BEGINS = 0.8
#: fewest accounts in one window of behaviour, and how much denser it is than the rest of its kind
COHORT, DENSER = 10, 4.0
#: one account of a cohort asks at most this many times as much as its typical one: who deals out
#: work to a pool deals evenly, and a tenant on changing machines is no part of it
HEAVIER = 6.0
#: who is unlike the others where nothing but behaviour links them: closer, and sooner
TELLING, APART_OCTAVES = 2.5, 1.0
#: octaves of typical tokens that cells tell apart
OCTAVES = 32


def by_behaviour(accounts: Accounts, linked: Rows) -> tuple[Rows, Rows]:
    """Join accounts that behave alike, each window a hub; `linked` are joined by something else."""
    apart = _apart(accounts.sums) & accounts.drawn & ~accounts.keyed
    apart[linked] = False
    at = np.flatnonzero(apart)
    x, y = (_octave(accounts, at, name) for name in ("log_output", "log_input"))
    member, hub = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    while len(at) >= COHORT:
        inside = _densest(x, y)
        if inside is None:
            break
        load = accounts.sums[at[inside], AT["requests"]]
        even = at[inside][load <= HEAVIER * np.median(load)]
        hub.append(np.full(len(even), len(hub) - 1, dtype=np.int64))
        member.append(even)
        at, x, y = at[~inside], x[~inside], y[~inside]
    joined = np.concatenate(member), np.concatenate(hub)
    return alike(accounts, *joined, telling=TELLING, apart=APART_OCTAVES)


def _apart(s: Matrix) -> Bools:
    """Say who comes alone, or with first questions from unrelated networks in quick succession."""
    repeats, prompts = np.maximum(s[:, AT["repeats"]], 1e-9), s[:, AT["prompts"]]
    begins = s[:, AT["begins"]] >= BEGINS * prompts
    apart: Bools = (s[:, AT["alone"]] / repeats >= POOLED) & ((prompts == 0) | begins)
    apart |= (s[:, AT["roamed"]] / repeats >= POOLED) & (prompts > 0) & begins
    return apart


def _octave(accounts: Accounts, at: Rows, name: str) -> Rows:
    """Return the octave of the typical tokens of accounts."""
    answers = np.maximum(accounts.sums[at, AT["answers"]], 1e-9)
    octave: Rows = np.floor(accounts.sums[at, AT[name]] / answers).astype(np.int64)
    return np.clip(octave, 0, OCTAVES - 1)


def _densest(x: Rows, y: Rows) -> Bools | None:
    """Return who is in the window that most are in; None if it stands out from no others."""
    grid = np.zeros((OCTAVES + 2, OCTAVES + 2))
    np.add.at(grid, (x + 1, y + 1), 1.0)
    window = sum(grid[i : i + OCTAVES, j : j + OCTAVES] for i in range(3) for j in range(3))
    best = int(np.argmax(window))
    inside: Bools = (abs(x - best // OCTAVES) <= 1) & (abs(y - best % OCTAVES) <= 1)
    # What everybody of this kind does is no behaviour of a group's own.
    others = grid[1:-1, 1:-1].copy()
    others[x[inside], y[inside]] = 0.0
    usual = 9.0 * others.sum() / max(1, np.count_nonzero(others))
    return inside if inside.sum() >= max(COHORT, DENSER * usual) else None
