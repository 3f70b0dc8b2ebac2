"""Hashes that gateways log, of prompts and of questions, as positive numbers of 63 bits."""

from __future__ import annotations

from contextlib import suppress
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.int64]
#: hex digits of a hash that are kept: 63 bits
DIGITS = 16
MASK = (1 << 63) - 1


def hash_of(digits: str) -> int:
    """Return a hash as a positive number; 0 stays free to mean none."""
    try:
        return (int(digits[:DIGITS], 16) & MASK) or 1
    except ValueError:  # a gateway's own idea of a hash
        return int.from_bytes(blake2b(digits.encode(), digest_size=8).digest()) >> 1 or 1


def hashes_of(texts: list[str]) -> Hashes:
    """Return `hash_of` each; at once where all have 16 digits, which takes a third of the time."""
    if set(map(len, texts)) <= {DIGITS}:
        with suppress(ValueError):  # a gateway's own idea of a hash
            found = np.frombuffer(bytes.fromhex("".join(texts)), dtype=">u8")
            if len(found) == len(texts):  # else there were blanks, which are skipped
                numbers: Hashes = np.maximum(found & np.uint64(MASK), 1).astype(np.int64)
                return numbers
    return np.array(list(map(hash_of, texts)), dtype=np.int64)
