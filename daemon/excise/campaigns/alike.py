"""Who is unlike those it is linked with: whoever meets a fleet somewhere is not one of it."""

from __future__ import annotations

import numpy as np

from excise.campaigns.accounts import Accounts
from excise.features.conduct import AT
from excise.features.interner import Rows
from excise.features.state import Column

#: an account with this many answers whose typical one is this far from the others' is apart.
#: Single answers spread by about an octave, the mean of six by less than half of one
TELLING, APART_OCTAVES = 6.0, 2.0


def alike(
    accounts: Accounts,
    member: Rows,
    hub: Rows,
    *,
    telling: float = TELLING,
    apart: float = APART_OCTAVES,
) -> tuple[Rows, Rows]:
    """Leave out whose typical input or output is far from that of the others of a hub or group.

    Who meets a fleet at an address, or copies its template, is not one of it.
    """
    if not len(member):
        return member, hub
    _, of = np.unique(hub, return_inverse=True)
    count = accounts.sums[member, AT["answers"]]
    answers = np.maximum(count, 1e-9)
    kept, sure = np.ones(len(member), dtype=bool), count >= telling
    for name in ("log_output", "log_input"):
        typical = accounts.sums[member, AT[name]] / answers
        kept &= ~sure | (abs(typical - medians(of, typical)[of]) <= apart)
    return member[kept], hub[kept]


def medians(of: Rows, values: Column) -> Column:
    """Return the median of values per group, numbered from 0 on."""
    if not len(of):
        return np.empty(0)
    order = np.lexsort((values, of))
    starts = np.searchsorted(of[order], np.arange(int(of.max()) + 1))
    ends = np.append(starts[1:], len(of))
    ordered = values[order]
    middle: Column = (ordered[(starts + ends - 1) // 2] + ordered[(starts + ends) // 2]) / 2
    return middle
