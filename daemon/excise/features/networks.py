"""Which places are of one network: roughly, of one provider.

Without a table of autonomous systems a v4 /16 or a v6 /32 stands for what one provider has. That
takes a carrier with many of them for several, so where there is a table, it decides.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from excise.features.values import Bools
from excise.model.asns import AsnTable

#: places and networks as numbers, see `World.places`
Places = NDArray[np.uint64]
#: tells a system's number from a network's
SYSTEM = np.uint64(1 << 63)


def networks(place: Places, asns: AsnTable | None) -> Places:
    """Return a number for the network that each place is in, shape (n,) as `place`."""
    six = (place & np.uint64(1)) == 1
    wide: Places = np.where(six, place >> np.uint64(33), place >> np.uint64(17))
    wide <<= np.uint64(1)
    wide[six] |= np.uint64(1)
    if asns is not None:
        systems = _systems(place, asns)
        known = systems > 0
        wide[known] = systems[known] | SYSTEM
    return wide


def unrelated(place: Places, other: Places, asns: AsnTable | None) -> Bools:
    """Say which places are in another network than the others are."""
    apart: Bools = networks(place, None) != networks(other, None)
    if asns is not None:
        at = np.flatnonzero(apart)
        apart[at] = networks(place[at], asns) != networks(other[at], asns)
    return apart


def _systems(place: Places, asns: AsnTable) -> Places:
    version = np.where((place & np.uint64(1)) == 1, 6, 4).astype(np.uint8)
    return asns.lookup(place >> np.uint64(1), version).astype(np.uint64)
