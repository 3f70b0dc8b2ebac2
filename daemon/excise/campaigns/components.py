"""Connected components of a bipartite graph, in NumPy: members on one side, hubs on the other."""

from __future__ import annotations

import numpy as np

from excise.features.interner import Rows


def components(member: Rows, hub: Rows, members: int, hubs: int) -> Rows:
    """Return a label per member, shape (members,): equal where a path of edges joins two.

    Edge i joins `member[i]` (0 to members - 1) with `hub[i]` (0 to hubs - 1); the label is the
    least member of the component. Labels spread along edges and are then shortened by pointer
    jumping, so the rounds grow with the logarithm of the longest path (Shiloach and Vishkin, 1982).
    """
    label = np.arange(members, dtype=np.int64)
    if not len(member):
        return label
    while True:
        least = np.full(hubs, members, dtype=np.int64)
        np.minimum.at(least, hub, label[member])
        reached = label.copy()
        np.minimum.at(reached, member, least[hub])
        # Hook whole trees, not only the member: its old root takes the smaller label too.
        np.minimum.at(reached, label, reached.copy())
        while True:
            jumped = reached[reached]
            if np.array_equal(jumped, reached):
                break
            reached = jumped
        if np.array_equal(reached, label):
            return label
        label = reached
