"""Counting bytes in a batch: NumPy looks at 32 at once, `bytes.count` goes from one to the next."""

from __future__ import annotations

import numpy as np


def count_byte(blob: bytes, byte: int) -> int:
    """Return how often a byte occurs."""
    return int(np.count_nonzero(np.frombuffer(blob, np.uint8) == byte))


def count_controls(blob: bytes) -> int:
    """Return how many control bytes there are: below 32, newlines among them, and 127."""
    codes = np.frombuffer(blob, np.uint8)
    return int(np.count_nonzero(codes < 32)) + (blob.count(b"\x7f") if b"\x7f" in blob else 0)
