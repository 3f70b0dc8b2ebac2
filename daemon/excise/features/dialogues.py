"""Which conversation a prompt belongs to, and which beginnings of prompts accounts share.

A gateway logs a hash chain over the messages of a prompt. A prompt whose chain holds an earlier
whole prompt continues that conversation; one that does not begins a new one. Beginnings that a
second account sends too are *shared beginnings*: the deepest one is what a fleet has in common
when its fixed text comes after a system prompt that half the world uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from excise.features.interner import Rows
from excise.features.values import Bools

Hashes = NDArray[np.int64]
#: hex digits of a hash that are kept: 63 bits
DIGITS = 16
MASK = (1 << 63) - 1
#: how many of the first entries of a chain may be a shared beginning
DEEPEST = 4
#: an owner for beginnings that several accounts share
MANY = -1


@dataclass(frozen=True, slots=True)
class Read:
    """What the prompts of n records say. 0 is no hash.

    `begins`: nothing of this account's is continued (False where no prompt is logged).
    `taken_over`: another account's conversation is continued. `template`: entry 0; `shared`: the
    deepest beginning that other accounts send too, if it is deeper than entry 0.
    `whole`: the last entry.
    """

    known: Bools
    begins: Bools
    taken_over: Bools
    template: Hashes
    shared: Hashes
    whole: Hashes


def hash_of(digits: str) -> int:
    """Return a chain entry as a positive number of 63 bits."""
    try:
        return (int(digits[:DIGITS], 16) & MASK) or 1
    except ValueError:  # a gateway's own idea of a hash
        return int.from_bytes(blake2b(digits.encode(), digest_size=8).digest()) >> 1 or 1


class Memory:
    """Hash to account row, in two generations of bounded size: the older one is forgotten."""

    def __init__(self, capacity: int) -> None:
        self._most = max(16, capacity // 2)
        self.capacity = 2 * self._most
        self.now: dict[int, int] = {}
        self.before: dict[int, int] = {}

    def get(self, key: int) -> int | None:
        """Return who is kept for a hash."""
        found = self.now.get(key)
        return self.before.get(key) if found is None else found

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
        flags = np.zeros((3, n), dtype=bool)
        hashes = np.zeros((3, n), dtype=np.int64)
        for i, (chain, account) in enumerate(zip(prompts, accounts.tolist(), strict=True)):
            if chain:
                flags[0, i] = True
                hashes[0, i] = hash_of(chain[0])
                hashes[2, i] = whole = hash_of(chain[-1])
                if account:
                    flags[1, i], flags[2, i] = self._continue(chain, whole, account)
                    hashes[1, i] = self._share(chain, account)
        return Read(flags[0], flags[1], flags[2], *hashes)

    def _continue(self, chain: tuple[str, ...], whole: int, account: int) -> tuple[bool, bool]:
        """Return whether a prompt begins a conversation, and whether it takes one over."""
        owner = self.wholes.get(whole)
        if owner != account:
            self.wholes.put(whole, account)
        if owner == account:
            return False, False
        for entry in chain[-2:0:-1]:
            owner = self.wholes.get(hash_of(entry))
            if owner is not None:
                return owner != account, owner != account
        return True, False

    def _share(self, chain: tuple[str, ...], account: int) -> int:
        """Return the deepest beginning, short of the whole, that another account sends too."""
        deepest = 0
        for entry in chain[1 : min(DEEPEST, len(chain) - 1)]:
            key = hash_of(entry)
            owner = self.beginnings.get(key)
            if owner is None:
                self.beginnings.put(key, account)
                break  # nobody can have sent anything deeper
            if owner not in (account, MANY):
                self.beginnings.put(key, MANY)
                owner = MANY
            deepest = key if owner == MANY else deepest
        return deepest
