"""Which models are new on this host: first asked for within the last 24 h.

A model's name is noted when an answer under it is first logged. In the first day of the host's own
record nothing is new, since everything would be.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from excise.features.interner import Interner, Rows
from excise.features.state import Column
from excise.features.values import Bools

#: a model is new for so long
NEW_S = 86_400.0
#: most models that are known by name, and after how long without an answer one may be forgotten
MOST, IDLE_S = 4_096, 30 * 86_400.0


class Models:
    """Owns the names of models, with the times of their first and last answers.

    `since` is when the host's record began. Row 0 is no model, which is never new. When no name
    can be forgotten, further ones are taken for no model.
    """

    def __init__(self, most: int = MOST) -> None:
        self.names: Interner[str] = Interner(most, "")
        self.first: Column = np.zeros(self.names.capacity + 1)
        self.last: Column = np.zeros(self.names.capacity + 1)
        self.since = 0.0

    def fresh(self, names: list[str], ts: Column) -> Bools:
        """Note the models of records in order; return which are new on this host, shape (n,)."""
        if not self.since:
            self.since = float(ts[0])
        rows = self._rows(names, ts)
        first = self.first[rows]
        new: Bools = (rows > 0) & (first > self.since + NEW_S) & (ts - first < NEW_S)
        return new

    def any_fresh(self, now: float) -> bool:
        """Whether some model is new at `now`."""
        return bool((self.first > max(self.since + NEW_S, now - NEW_S)).any())

    def _rows(self, names: list[str], ts: Column) -> Rows:
        """Return the rows of names, taking new ones in."""
        out, begin = np.zeros(len(names), dtype=np.int64), 0
        while begin < len(names):
            rows, fresh, n = self.names.intern(names[begin:])
            part = slice(begin, begin + n)
            out[part] = rows
            for i in fresh:
                self.first[rows[i]] = ts[begin + i]
            np.maximum.at(self.last, rows, ts[part])
            begin += n
            if begin < len(names) and not self._make_room(float(ts[begin])):
                begin += 1  # this one stays unknown
        return out

    def _make_room(self, now: float) -> bool:
        """Forget models that were idle for long; say whether there is room now."""
        idle = np.flatnonzero((self.last > 0) & (self.last < now - IDLE_S))
        idle = idle[idle > 0]
        self.names.forget(idle.tolist())
        self.first[idle] = self.last[idle] = 0.0
        return not self.names.full

    def shift(self, seconds: float) -> None:
        """Follow a clock that was set back."""
        for times in (self.first, self.last):
            times[times > 0] -= seconds
        self.since -= seconds if self.since else 0.0

    def dump(self) -> dict[str, NDArray[np.generic]]:
        """Return the times as arrays; names are stored with other names."""
        used = len(self.names.keys)
        return {
            "models.first": self.first[:used],
            "models.last": self.last[:used],
            "models.since": np.array([self.since]),
        }

    def load(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Load what `dump` returned."""
        used = len(arrays["models.first"])
        self.first[:used], self.last[:used] = arrays["models.first"], arrays["models.last"]
        self.since = float(arrays["models.since"].astype(np.float64)[0])
