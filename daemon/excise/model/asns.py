"""Which autonomous system an address belongs to, from a table that the operator has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class Ranges:
    """Ranges of addresses of one version, sorted, that do not overlap; ends belong to them.

    Addresses are numbers: a v4 address, or the upper 64 bits of a v6 address.
    """

    start: Numbers
    end: Numbers
    asn: NDArray[np.int64]

    def lookup(self, addresses: Numbers) -> NDArray[np.int64]:
        """Return the systems of addresses, 0 where no range has one."""
        if not len(self.start):
            return np.zeros(len(addresses), dtype=np.int64)
        at = np.searchsorted(self.start, addresses, side="right") - 1
        found: NDArray[np.int64] = np.where(
            (at >= 0) & (addresses <= self.end[at]), self.asn[at], 0
        )
        return found


def ranges(rows: list[tuple[int, int, int]]) -> Ranges:
    """Return rows of (start, end, asn), sorted by start, as ranges."""
    start, end, asn = zip(*rows, strict=True) if rows else ((), (), ())
    return Ranges(
        np.array(start, dtype=np.uint64),
        np.array(end, dtype=np.uint64),
        np.array(asn, dtype=np.int64),
    )


@dataclass(frozen=True, slots=True, eq=False)
class AsnTable:
    """The systems of both versions' addresses."""

    v4: Ranges
    v6: Ranges

    def lookup(self, network: Numbers, version: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Return the systems of addresses of versions 4 and 6, 0 where none is known."""
        found = np.zeros(len(network), dtype=np.int64)
        for number, part in ((4, self.v4), (6, self.v6)):
            at = np.flatnonzero(version == number)
            found[at] = part.lookup(network[at])
        return found
