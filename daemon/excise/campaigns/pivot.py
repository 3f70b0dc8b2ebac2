"""Whether a group has moved to a new model more than everybody else has."""

from __future__ import annotations

import numpy as np

from excise.campaigns.evidence import added
from excise.features.interner import Rows
from excise.features.state import Column
from excise.features.values import Bools

#: fewest accounts outside of the group that say what everybody does
LEAST_OTHERS = 20


def pivot(fresh: Column, recent: Column, of: Rows, groups: int) -> Column:
    """Return per group its share of output under new models, less that of all who are in none.

    Account i is in group `of[i]`, -1 for none, and took `recent[i]` output tokens of late, of which
    `fresh[i]` under models that are new on this host. A share is taken of the tokens and as the
    mean of accounts' shares; the lesser counts for a group and the greater for the others, so that
    one heavy account on either side says nothing. 0 while too few others are known.
    """
    used = recent > 0
    fresh, recent, of = fresh[used], recent[used], of[used]
    outside: Bools = of < 0
    if outside.sum() < LEAST_OTHERS:
        return np.zeros(groups)
    share = fresh / recent
    usual = max(float(fresh[outside].sum() / recent[outside].sum()), float(share[outside].mean()))
    fresh, recent, share = (column[~outside] for column in (fresh, recent, share))
    of = of[~outside]
    by_tokens = added(of, fresh, groups) / np.maximum(added(of, recent, groups), 1e-9)
    by_account = added(of, share, groups) / np.maximum(added(of, None, groups), 1.0)
    return np.maximum(np.minimum(by_tokens, by_account) - usual, 0.0)
