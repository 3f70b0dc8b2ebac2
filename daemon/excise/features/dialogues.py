"""Which conversation a prompt belongs to, and which beginnings of prompts accounts share.

A gateway logs a hash chain over the messages of a prompt. A prompt whose chain holds an earlier
whole prompt continues that conversation; one that does not begins a new one. Beginnings that a
second account sends too are *shared beginnings*: the deepest one is what a fleet has in common
when its fixed text comes after a system prompt that half the world uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from excise.features.hashes import Hashes, hashes_of
from excise.features.interner import Rows
from excise.features.values import Bools

#: how many of the first entries of a chain may be a shared beginning
DEEPEST = 4
#: an owner for beginnings that several accounts share
MANY = -1


@dataclass(frozen=True, slots=True)
class Read:
    """What the prompts of n records say. 0 is no hash.

    `begins`: nothing of this account's is continued (False where no prompt is logged).
    `taken_over`: another account's conversation is continued, and `giver` is the row of that
    account (0 where none is). `template`: entry 0; `shared`: the
    deepest beginning that other accounts send too, if it is deeper than entry 0.
    `whole`: the last entry.
    """

    known: Bools
    begins: Bools
    taken_over: Bools
    giver: Rows
    template: Hashes
    shared: Hashes
    whole: Hashes


class Memory:
    """Hash to account row, in two generations of bounded size: the older one is forgotten."""

    def __init__(self, capacity: int) -> None:
        self._most = max(16, capacity // 2)
        self.capacity = 2 * self._most
        self.now: dict[int, int] = {}
        self.before: dict[int, int] = {}

    def get(self, key: int) -> int | None:
        """Return who is kept for a hash."""
        return self.now.get(key) or self.before.get(key)

    def put(self, key: int, account: int) -> None:
        """Keep an account for a hash."""
        if len(self.now) >= self._most:
            self.before, self.now = self.now, {}
        self.now[key] = account

    def dump(self) -> NDArray[np.int64]:
        """Return all that is kept as rows of (generation, hash, account), in order."""
        rows = [(g, *i) for g, d in enumerate((self.before, self.now)) for i in d.items()]
        return np.array(rows, dtype=np.int64).reshape(-1, 3)

    def load(self, rows: NDArray[np.int64]) -> None:
        """Load what `dump` returned."""
        self.before, self.now = {}, {}
        for generation, key, account in rows.tolist():
            (self.now if generation else self.before)[key] = account


class Dialogues:
    """Owns the whole prompts, and the beginnings that might be shared."""

    def __init__(self, capacity: int) -> None:
        self.wholes, self.beginnings = Memory(capacity), Memory(capacity)

    def read(self, prompts: list[tuple[str, ...]], accounts: Rows) -> Read:
        """Read the prompts of records in order."""
        n = len(prompts)
        lengths = np.fromiter(map(len, prompts), dtype=np.int64, count=n)
        at = np.flatnonzero(lengths)
        ends = np.cumsum(lengths[at])
        begins = ends - lengths[at]
        entries = hashes_of(list(chain.from_iterable(prompts)))
        hashes = np.zeros((5, n), dtype=np.int64)
        of = accounts[at]
        bounds = begins.tolist(), ends.tolist()
        hashes[:2, at] = self._follow(entries.tolist(), *bounds, of.tolist())
        hashes[2, at], hashes[3, at] = entries[begins], entries[ends - 1]
        known = lengths > 0
        begun = known & (hashes[0] != accounts)
        giver = np.where(begun, hashes[0], 0)
        return Read(known, begun, giver > 0, giver, hashes[2], hashes[1], hashes[3])

    def _follow(
        self, entries: list[int], begins: list[int], ends: list[int], accounts: list[int]
    ) -> tuple[list[int], list[int]]:
        """Return per prompt whose conversation it continues, and the deepest shared beginning."""
        owners, shared = [], []
        owner_of, share = self._owner, self._share
        for begin, end, account in zip(begins, ends, accounts, strict=True):
            owners.append(owner_of(entries[begin:end], account) if account else 0)
            deep = account and end - begin > 2
            shared.append(share(entries[begin:end], account) if deep else 0)
        return owners, shared

    def _owner(self, link: list[int], account: int) -> int:
        """Return whose conversation a prompt continues, 0 where it begins one; keep its whole."""
        wholes, whole = self.wholes, link[-1]
        now, before = wholes.now.get, wholes.before.get
        owner = now(whole) or before(whole)
        if owner == account:
            return account
        wholes.put(whole, account)
        for entry in link[-2:0:-1]:
            owner = now(entry) or before(entry)
            if owner:
                return owner
        return 0

    def _share(self, link: list[int], account: int) -> int:
        """Return the deepest beginning, short of the whole, that another account sends too."""
        deepest, beginnings = 0, self.beginnings
        for key in link[1 : min(DEEPEST, len(link) - 1)]:
            owner = beginnings.get(key)
            if owner is None:
                beginnings.put(key, account)
                break  # nobody can have sent anything deeper
            if owner == MANY:
                deepest = key
            elif owner != account:
                beginnings.put(key, MANY)
                deepest = key
        return deepest
