"""How unlike everybody else's the token shapes of a group's requests are."""

from __future__ import annotations

import numpy as np

from excise.campaigns.evidence import summed
from excise.features.interner import Rows
from excise.features.state import Column, Matrix

#: most answers of one account that count: ten accounts can have a thousand
MOST = 100.0
#: fewest answers of the others that say what is usual
LEAST_OTHERS = 1_000.0


def bounded(grids: Matrix) -> Matrix:
    """Scale histograms of accounts, one a row, down to at most `MOST` answers each."""
    scaled: Matrix = grids * np.minimum(1.0, MOST / np.maximum(grids.sum(axis=1), 1.0))[:, None]
    return scaled


def divergence(grids: Matrix, of: Rows, groups: int, others: Matrix) -> tuple[Column, Column]:
    """Return per group how far its histogram is from the others', and the answers it rests on.

    `grids[i]` is the histogram of an account of group `of[i]`; `others` are those of accounts in
    no group. The first number is the Jensen-Shannon divergence in bits (Lin, 1991): 0 where both
    are equal, 1 where they have no cell in common; 0 too while too little is known of the others.
    """
    pooled = summed(of, bounded(grids), groups)
    answers = pooled.sum(axis=1)
    usual = bounded(others).sum(axis=0)
    if usual.sum() < LEAST_OTHERS:
        return np.zeros(groups), answers
    p = pooled / np.maximum(answers, 1e-9)[:, None]
    q = usual / usual.sum()
    middle = (p + q) / 2.0
    bits = (_relative(p, middle) + _relative(np.broadcast_to(q, p.shape), middle)) / 2.0
    return np.where(answers > 0, np.clip(bits, 0.0, 1.0), 0.0), answers


def _relative(p: Matrix, q: Matrix) -> Column:
    """Return the relative entropy of rows of p against q, in bits."""
    ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    bits: Column = (p * np.log2(ratio)).sum(axis=1)
    return bits
