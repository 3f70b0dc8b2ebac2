"""Which client used which account through which stack, and how much: the bipartite graph.

A slim table: requests, output tokens and requests that were answered (neither refused nor failed),
all with a half-life of 24 h, by (client row, use row). Records without an account link the client
to use 0, "not known".
"""

from __future__ import annotations

from collections.abc import Callable, Container

import numpy as np
from numpy.typing import NDArray

from excise.features.interner import LOW_WATER, Interner, Rows
from excise.features.state import DAY, HALF_LIVES, TINY, Column, Matrix

REQUESTS, OUTPUT, ANSWERED = 0, 1, 2


class Links:
    """Owns the links. Row 0 is nobody's."""

    def __init__(self, capacity: int) -> None:
        self._names: Interner[int] = Interner(capacity, -1)
        size = self._names.capacity + 1
        self.client: Rows = np.full(size, -1, dtype=np.int64)
        self.use: Rows = np.full(size, -1, dtype=np.int64)
        self.sums: Matrix = np.zeros((size, 3))
        self.last: Column = np.zeros(size)
        self._of_client, self._of_use = Chains(size), Chains(size)
        #: moves on with every change, so that what is worked out from links can be kept
        self.stamp = 0

    @property
    def room(self) -> int:
        """How many new links can be taken before links must be forgotten."""
        return self._names.room

    @property
    def full(self) -> bool:
        """Whether links must be forgotten before new ones."""
        return self._names.full

    def size(self) -> tuple[int, int, int]:
        """Return links in use, capacity, and links forgotten."""
        return len(self._names) - 1, self._names.capacity, self._names.evicted

    def one(self, client: int, use: int) -> int | None:
        """Return the row of a link, new or known; None if it would be new and there is no room."""
        row, fresh = self._names.one(client << 32 | use)
        if row is not None and fresh:
            self.client[row], self.use[row] = client, use
            self._of_client.add(client, row)
            self._of_use.add(use, row)
        return row

    def add(self, rows: Rows, added: Matrix, ts: Column) -> None:
        """Add weighted requests, tokens and answers, in record order."""
        self.stamp += 1
        for column in (REQUESTS, OUTPUT, ANSWERED):  # a column at a time takes NumPy's quick way
            np.add.at(self.sums[:, column], rows, added[:, column])
        self.last[rows] = ts

    def _chain(self, rows: Rows) -> None:
        """Make links findable by client and by use."""
        clients, uses = self.client[rows].tolist(), self.use[rows].tolist()
        for row, client, use in zip(rows.tolist(), clients, uses, strict=True):
            self._of_client.add(client, row)
            self._of_use.add(use, row)

    def since(self, when: float) -> Rows:
        """Return the links that were used after some time."""
        rows: Rows = np.flatnonzero(self.last[: len(self._names.keys)] > when)
        return rows

    def of_client(self, client: int) -> Rows:
        """Return the links of a client, most output first."""
        return self._by_output(self._of_client.of(client))

    def of_use(self, use: int) -> Rows:
        """Return the links of a use, most output first."""
        return self._by_output(self._of_use.of(use))

    def uses(self, client: int) -> list[int]:
        """Return the uses of a client, in no order that matters."""
        uses: list[int] = self.use[self._seen(self._of_client.of(client))].tolist()
        return uses

    def share(self, client: int, uses: Container[int]) -> float:
        """Return the share of a client's traffic through some uses, see `shares`."""
        found = self.shares(client, lambda use: int(use in uses))
        return found.get(1, 0.0 if found else 1.0)

    def shares(self, client: int, group_of: Callable[[int], int]) -> dict[int, float]:
        """Return the share of a client's traffic by group of uses: the lesser of requests, tokens.

        The lesser, because one long answer among a tenant's thousand short ones is no takeover.
        """
        rows = self._seen(self._of_client.of(client))
        whole, parts = [0.0, 0.0], dict[int, list[float]]()
        uses, sums = self.use[rows].tolist(), self.sums[rows, : OUTPUT + 1].tolist()
        for use, (requests, tokens) in zip(uses, sums, strict=True):
            part = parts.setdefault(group_of(use), [0.0, 0.0])
            for total in (whole, part):
                total[REQUESTS] += requests
                total[OUTPUT] += tokens
        return {
            group: min(p / w if w else 1.0 for p, w in zip(part, whole, strict=True))
            for group, part in parts.items()
        }

    def _seen(self, found: list[int]) -> Rows:
        """Return the links that have counted: a piece makes its links before it commits them."""
        rows = np.array(found, dtype=np.int64)
        return rows[self.last[rows] > 0]

    def _by_output(self, found: list[int]) -> Rows:
        rows = self._seen(found)
        return rows[np.lexsort((rows, -self.sums[rows, OUTPUT]))]

    def dump(self) -> dict[str, NDArray[np.generic]]:
        """Return the links as arrays."""
        used = len(self._names.keys)
        return {
            "links.client": self.client[:used],
            "links.use": self.use[:used],
            "links.sums": self.sums[:used],
            "links.last": self.last[:used],
        }

    def load(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Load what `dump` returned."""
        used = len(arrays["links.client"])
        for name, column in (("client", self.client), ("use", self.use), ("last", self.last)):
            column[:used] = arrays[f"links.{name}"]
        self.sums[:used] = arrays["links.sums"]
        pairs = zip(self.client[:used].tolist(), self.use[:used].tolist(), strict=True)
        keys = [c << 32 | u if c >= 0 else None for c, u in pairs]
        self._names.load([-1, *keys[1:]])
        self._rechain()

    def rescale(self, seconds: float) -> None:
        """Move the landmark forward."""
        live = self.sums[: len(self._names.keys)]
        live *= 2.0 ** (-seconds / HALF_LIVES[DAY])
        live[live < TINY] = 0.0

    def shift(self, seconds: float) -> None:
        """Follow a clock that was set back."""
        self.last[self.last > 0] -= seconds

    def forget_clients(self, gone: Rows) -> None:
        """Forget the links of clients."""
        self._forget(np.flatnonzero(np.isin(self.client, gone)))

    def forget_uses(self, gone: Rows) -> None:
        """Forget the links of uses."""
        self._forget(np.flatnonzero(np.isin(self.use, gone)))

    def forget(self) -> None:
        """Forget the links with the fewest requests down to the low water mark."""
        live = np.flatnonzero(self.client >= 0)
        surplus = len(live) - int(self._names.capacity * LOW_WATER)
        order = np.lexsort((self.last[live], self.sums[live, REQUESTS]))
        self._forget(live[order[: max(0, surplus)]])

    def _forget(self, rows: Rows) -> None:
        self._names.forget(rows.tolist())
        self.client[rows] = self.use[rows] = -1
        self.sums[rows] = 0.0
        self.last[rows] = 0.0
        self._rechain()

    def _rechain(self) -> None:
        self.stamp += 1
        self._of_client, self._of_use = Chains(len(self.last)), Chains(len(self.last))
        self._chain(np.flatnonzero(self.client >= 0))


class Chains:
    """Lists of links threaded through one array: four bytes a link, one dict entry an owner."""

    def __init__(self, size: int) -> None:
        self._head: dict[int, int] = {}
        self._next = np.full(size, -1, dtype=np.int32)

    def add(self, owner: int, link: int) -> None:
        """Put a link on its owner's list."""
        self._next[link] = self._head.get(owner, -1)
        self._head[owner] = link

    def of(self, owner: int) -> list[int]:
        """Return an owner's links, newest first."""
        found = []
        link = self._head.get(owner, -1)
        while link >= 0:
            found.append(link)
            link = int(self._next[link])
        return found
