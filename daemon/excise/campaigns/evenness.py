"""How evenly load is dealt out to the members of a group, beside what chance would do.

A scheduler that draws members at random makes counts that are Poisson given how long each has
been there. People's counts spread by far more: their habits differ. So the excess dispersion
(variance less mean, over the square of the mean: the 1 / k of the negative binomial by moments,
Anscombe, Biometrika 37, 1950) is about 0 for the one, and above a third for the other, however
much either asks.
"""

from __future__ import annotations

import numpy as np

from excise.campaigns.evidence import added
from excise.features.conduct import DAY_S
from excise.features.interner import Rows
from excise.features.state import Column

#: standard errors from the estimate to its bound: few requests prove no evenness
ERRORS = 2.0
#: of a group of which nothing can be said
UNKNOWN = 99.0
_MEAN_LIFE_S = DAY_S / np.log(2.0)


def unevenness(requests: Column, age_s: Column, of: Rows, groups: int) -> Column:
    """Return the upper bound of the excess dispersion of members' requests, a ratio, by group.

    `requests` are decayed over 24 h, as `conduct` has them, and `age_s` is since the first one,
    which is left out: shapes (n,). A count that decays has half the variance of its mean once
    it is old, and all of it while it is young.
    """
    faded = np.exp2(-age_s / DAY_S)
    counts = np.maximum(requests - faded, 0.0)
    time, spread = _MEAN_LIFE_S * (1.0 - faded), _MEAN_LIFE_S / 2.0 * (1.0 - faded * faded)
    rate = added(of, counts, groups) / np.maximum(added(of, time, groups), 1e-9)
    mean, variance = rate[of] * time, rate[of] * spread
    squares = added(of, mean * mean, groups)
    excess = added(of, (counts - mean) ** 2 - variance, groups)
    error = np.sqrt(added(of, variance + 2.0 * variance * variance, groups))
    bound = (excess + ERRORS * error) / np.maximum(squares, 1e-9)
    return np.where(squares > 1e-6, np.minimum(bound, UNKNOWN), UNKNOWN)
