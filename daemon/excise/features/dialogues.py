"""Which conversation a prompt belongs to, and which beginnings of prompts accounts share.

A gateway logs a hash chain over the messages of a prompt. A prompt whose chain holds an earlier
whole prompt continues that conversation; one that does not begins a new one. Beginnings that a
second account sends too are *shared beginnings*: the deepest one is what a fleet has in common
when its fixed text comes after a system prompt that half the world uses.
"""

from __future__ import annotations

from contextlib import suppress
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


def hash_of(digits: str) -> int:
    """Return a chain entry as a positive number of 63 bits."""
    try:
        return (int(digits[:DIGITS], 16) & MASK) or 1
    except ValueError:  # a gateway's own idea of a hash
        return int.from_bytes(blake2b(digits.encode(), digest_size=8).digest()) >> 1 or 1


def numbered(chains: list[tuple[str, ...]]) -> list[list[int]]:
    """Return chains with their entries as `hash_of` has them; at once where all are 16 digits."""
    flat = [entry for chain in chains for entry in chain]
    text = "".join(flat)
    numbers: list[int] | None = None
    if all(len(entry) == DIGITS for entry in flat):
        with suppress(ValueError):  # a gateway's own idea of a hash
            found = np.frombuffer(bytes.fromhex(text), dtype=">u8") & np.uint64(MASK)
            numbers = np.maximum(found, 1).tolist()
    if numbers is None:
        numbers = list(map(hash_of, flat))
    ends = np.cumsum([len(chain) for chain in chains]).tolist()
    return [numbers[a:b] for a, b in zip([0, *ends], ends, strict=False)]


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
        at = np.flatnonzero(np.fromiter(map(bool, prompts), dtype=bool, count=n))
        chains = numbered([chain for chain in prompts if chain])
        begins, givers, shared = [], [], []
        for chain, account in zip(chains, accounts[at].tolist(), strict=True):
            found = self._continue(chain, account) if account else (False, 0)
            begins.append(found[0])
            givers.append(found[1])
            shared.append(self._share(chain, account) if account and len(chain) > 2 else 0)
        flags = np.zeros((2, n), dtype=bool)
        hashes = np.zeros((4, n), dtype=np.int64)
        flags[0, at], flags[1, at] = True, begins
        hashes[0, at], hashes[1, at] = givers, [c[0] for c in chains]
        hashes[2, at], hashes[3, at] = shared, [c[-1] for c in chains]
        return Read(flags[0], flags[1], hashes[0] > 0, *hashes)

    def _continue(self, chain: list[int], account: int) -> tuple[bool, int]:
        """Return whether a prompt begins a conversation, and whose it takes over, 0 for none."""
        wholes, whole = self.wholes, chain[-1]
        now, before = wholes.now.get, wholes.before.get
        owner = now(whole)
        if owner is None:
            owner = before(whole)
        if owner == account:
            return False, 0
        wholes.put(whole, account)
        for entry in chain[-2:0:-1]:
            owner = now(entry)
            if owner is None:
                owner = before(entry)
            if owner is not None:
                return (False, 0) if owner == account else (True, owner)
        return True, 0

    def _share(self, chain: list[int], account: int) -> int:
        """Return the deepest beginning, short of the whole, that another account sends too."""
        deepest, beginnings = 0, self.beginnings
        for key in chain[1 : min(DEEPEST, len(chain) - 1)]:
            owner = beginnings.get(key)
            if owner is None:
                beginnings.put(key, account)
                break  # nobody can have sent anything deeper
            if owner not in (account, MANY):
                beginnings.put(key, MANY)
                owner = MANY
            deepest = key if owner == MANY else deepest
        return deepest
