"""Which questions were asked before, by anybody, within a day: by their simhash.

A table of fixed size in which a hash has one place; who comes later takes it. What was pushed out
seems new when it comes again, so that the share of new questions errs upwards on a busy host.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from excise.features.hashes import Hashes, hashes_of
from excise.features.state import Column
from excise.features.values import Bools

#: a question counts as asked before for so long
ASKED_S = 86_400.0


class Questions:
    """Owns the hashes of questions by place, and when each was last asked."""

    def __init__(self, capacity: int) -> None:
        size = 1 << (max(16, capacity) - 1).bit_length()
        self.hash: Hashes = np.zeros(size, dtype=np.int64)
        self.asked: Column = np.zeros(size)

    def unasked(self, hashes: Hashes, ts: Column) -> Bools:
        """Take the questions of records in order; return which are new, shape (n,). 0 is none."""
        new = np.zeros(len(hashes), dtype=bool)
        logged = np.flatnonzero(hashes)
        if not len(logged):
            return new
        hashes, ts = hashes[logged], ts[logged]
        place = hashes % len(self.hash)
        order = np.argsort(place, kind="stable")
        held, asked = self.hash[place], self.asked[place]
        # Where two records of the piece share a place, the earlier one is what is held there.
        same = np.flatnonzero(place[order][1:] == place[order][:-1])
        held[order[same + 1]], asked[order[same + 1]] = hashes[order[same]], ts[order[same]]
        new[logged] = (held != hashes) | (ts - asked > ASKED_S)
        self.hash[place], self.asked[place] = hashes, ts  # numpy assigns in order
        return new

    def shift(self, seconds: float) -> None:
        """Follow a clock that was set back."""
        self.asked[self.asked > 0] -= seconds

    def dump(self) -> dict[str, NDArray[np.generic]]:
        """Return what is kept as arrays; the place is in the hash."""
        used = self.hash > 0
        return {"questions.hash": self.hash[used], "questions.asked": self.asked[used]}

    def load(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Load what `dump` returned, into a table of any size."""
        hashes = arrays["questions.hash"].astype(np.int64)
        place = hashes % len(self.hash)
        self.hash[place], self.asked[place] = hashes, arrays["questions.asked"]


def numbered(texts: list[str]) -> Hashes:
    """Return simhashes as positive numbers of 63 bits, 0 where none is logged."""
    out = np.zeros(len(texts), dtype=np.int64)
    logged = np.flatnonzero(np.fromiter(map(bool, texts), dtype=bool, count=len(texts)))
    if len(logged):
        out[logged] = hashes_of([text for text in texts if text])
    return out
