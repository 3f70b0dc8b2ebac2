"""What a trial says: whether accounts of a group make up for others of it that are slowed.

Some accounts of a group (drawn at random) are slowed for one window of time. A scheduler that
deals work out to a pool gives the others more; people who share a tool know nothing of each other.
Counted are answered requests by account, in `marks.WINDOWS` windows before and in the trial's own.

**Who is compared.** *The rest* are the group's accounts that were not slowed. *Controls* are in no
group and had a similar rate (the same octave, a *stratum*) when the first window began. Not later:
who is chosen for having been busy just before is less so afterwards, as a burst ends, and beside
such controls every steady group would seem to rise. Controls count with the weight that their
stratum has in the rest. What happens to everybody, a launch or a storm of retries, happens to them
in the same proportion.

**Two questions, of which the worse answer counts** (`p` is the greater of the two).

1. *Would accounts dealt into rest and controls at random differ so?* For an account with y
   requests in the trial, and x_hat by a straight line through its windows before, e = y - P x_hat,
   where P is what all together did. The difference of the means of e over strata, over its
   standard error, is compared with that under permutations within strata. Divided by the standard
   error the test keeps its level where rest and controls spread differently (Chung & Romano 2013,
   Annals of Statistics 41, 484).
2. *Has the group as a whole ever moved so when nobody touched it?* The ratio of rest to controls in
   the windows before is a line with scatter; the trial's is held against the line's next point,
   by Student's t with WINDOWS - 2 degrees of freedom. Accounts that one program drives rise and
   fall together, which no permutation of accounts shows, and a group may live in another time
   zone than the rest.

**Power.** With a share s of load L (requests in a window) slowed to lose the part q, the rest gain
q s L, against a standard deviation of sqrt(phi (1 - s) L (1 + v)): phi is overdispersion as the
scatter shows it, with controls' noise in it, and v = 1/k + (k + 1 - t)^2 / sum (t_i - t)^2 is what
the line costs, 0.38 for 12 windows (1 for one window alone). 5,000 accounts of 26 requests a day
have L = 2,700: with s = 0.15 and q = 2/3 that is z = 4.8 at phi = 1, and 2.4 at phi = 4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from excise.campaigns.evidence import added
from excise.campaigns.marks import WINDOWS
from excise.features.interner import Rows
from excise.features.state import Column, Matrix
from excise.features.values import Bools

#: a finding is below this; so many permutations can say 0.0002
SIGNIFICANT, PERMUTATIONS = 1e-3, 4_999
#: the part of its load that a slowed account is taken to lose, where power is reckoned
SLOWED = 2 / 3
#: least expected z of a trial: Student's t with 10 degrees of freedom has 0.001 above 4.14
LEAST_STRENGTH = 4.5
#: fewest controls, in all and in a stratum, and fewest of the rest
LEAST_CONTROLS, LEAST_IN_STRATUM, LEAST_REST = 20, 5, 5
#: accounts with less than this in the day before are not compared: nobody knows their rate
LEAST_EARLIER = 0.5
#: slowed accounts whose load is more than this part of what was expected were not slowed
STILL, LEAST_EXPECTED = 0.75, 10.0
#: the rest cannot take over more than the slowed lost; so many times that is another cause
TOO_MUCH = 2.0
#: numbers of permutations are worked on by so many at once
CHUNK = 64


def _extrapolation() -> Column:
    """Return the weights of windows in the next point of the line through them."""
    t = np.arange(WINDOWS, dtype=np.float64)
    off = t - t.mean()
    weights: Column = 1.0 / WINDOWS + (WINDOWS - t.mean()) * off / (off @ off)
    return weights


NEXT = _extrapolation()
#: variance of the trial's point less that of the line's next one, in variances of one window
SPREAD = 1.0 + float(NEXT @ NEXT)


@dataclass(frozen=True, slots=True)
class Arm:
    """Accounts of one side: `before` (n, WINDOWS) and `during` (n,) requests, `stratum` (n,)."""

    before: Matrix
    during: Column
    stratum: Rows

    def only(self, kept: Bools) -> Arm:
        """Return a part of them."""
        return Arm(self.before[kept], self.during[kept], self.stratum[kept])


@dataclass(frozen=True, slots=True)
class Measure:
    """What came of a trial. `void`: why it says nothing, `""` if it does.

    `p` is that of the null hypothesis that the rest did what controls did. `gained` are requests
    of the rest beyond that, `lost` those that the slowed are short of, `kept` the share of their
    expected load that they still had.
    """

    p: float
    gained: float
    lost: float
    kept: float
    void: str = ""


def strata(earlier: Column) -> Rows:
    """Return octaves of earlier rates, -99 where too little is known; shape of `earlier`."""
    octave = np.floor(np.log2(np.maximum(earlier, LEAST_EARLIER)))
    found: Rows = np.where(earlier < LEAST_EARLIER, -99, octave).astype(np.int64)
    return found


def matched(rest: Arm, controls: Arm) -> tuple[Arm, Arm]:
    """Return the accounts of strata in which there are enough of both."""
    least = ((rest, 2), (controls, LEAST_IN_STRATUM))
    kept = set(range(-64, 64))
    for arm, fewest in least:
        numbers, counts = np.unique(arm.stratum, return_counts=True)
        kept &= set(numbers[counts >= fewest].tolist())
    of = np.array(sorted(kept), dtype=np.int64)
    return rest.only(np.isin(rest.stratum, of)), controls.only(np.isin(controls.stratum, of))


def too_few(rest: Arm, controls: Arm) -> str:
    """Return why two matched sides are too small to be compared, `""` if they are not."""
    if len(controls.during) < LEAST_CONTROLS:
        return "too few accounts outside of campaigns have similar rates"
    if len(rest.during) < LEAST_REST:
        return "too few of its accounts were there before"
    return ""


def strength(rest: Arm, controls: Arm, slowed: Column) -> float:
    """Return the z that a trial may be expected to have; 0 where there are too few accounts.

    `slowed` are the usual requests in a window of the accounts that would be slowed. `during` of
    both sides is not looked at.
    """
    rest, controls = matched(rest, controls)
    if too_few(rest, controls):
        return 0.0
    both = np.stack(_totals(rest, controls))[:, :WINDOWS]
    if both[1].min() < 1.0:
        return 0.0
    scatter = _scatter(rest, controls)[1]
    deviation = scatter * both[1].mean() * math.sqrt(SPREAD)
    return SLOWED * float(slowed.sum()) / max(float(deviation), 1e-9)


def evaluate(rest: Arm, controls: Arm, slowed: Arm, seed: int) -> Measure:
    """Measure a trial. `seed` makes the permutations; the order of accounts does not matter."""
    rest, controls = matched(rest, controls)
    why = too_few(rest, controls)
    ours, theirs = _totals(rest, controls)
    if why or theirs.min() < 1.0:
        return Measure(1.0, 0.0, 0.0, 1.0, why or "controls were silent in some window")
    usual = float(theirs[:WINDOWS] @ NEXT)
    pace = float(theirs[WINDOWS]) / max(usual, 1e-9)
    expected = float(slowed.before.sum(axis=0) @ NEXT) * pace
    had = float(slowed.during.sum())
    ahead, scatter = _scatter(rest, controls)
    gained = float(ours[WINDOWS] - ahead * theirs[WINDOWS])
    lost, kept = expected - had, had / max(expected, 1e-9)
    if void := _void(expected, kept, gained, lost):
        return Measure(1.0, gained, lost, kept, void)
    beyond = float(ours[WINDOWS] / theirs[WINDOWS]) - ahead
    t = beyond / max(scatter * math.sqrt(SPREAD), 1e-12)
    p = max(student(t, WINDOWS - 2), permuted(rest, controls, seed))
    return Measure(p, gained, lost, kept)


def _void(expected: float, kept: float, gained: float, lost: float) -> str:
    if expected < LEAST_EXPECTED:
        return "the slowed accounts would have asked for too little"
    if kept > STILL:
        return (
            f"the accounts were not slowed: they had {kept:.0%} of their usual load; does the "
            f"gateway act on throttled accounts?"
        )
    if gained > TOO_MUCH * lost:
        return "the rest took more than the slowed accounts can have passed on: it has grown itself"
    return ""


def _weights(rest: Arm, controls: Arm) -> Column:
    """Return by how much each control counts, so that strata have the weight they have in rest."""
    base = int(min(rest.stratum.min(), controls.stratum.min()))
    n = int(max(rest.stratum.max(), controls.stratum.max())) - base + 1
    ours, theirs = (added(arm.stratum - base, None, n) for arm in (rest, controls))
    weights: Column = (ours / np.maximum(theirs, 1.0))[controls.stratum - base]
    return weights


def _totals(rest: Arm, controls: Arm) -> tuple[Column, Column]:
    """Return requests of rest and of controls by window, the trial's last, (WINDOWS + 1,) each."""
    if not len(rest.during) or not len(controls.during):
        return np.zeros(WINDOWS + 1), np.zeros(WINDOWS + 1)
    weights = _weights(rest, controls)
    ours = np.append(rest.before.sum(axis=0), rest.during.sum())
    return ours, np.append(weights @ controls.before, weights @ controls.during)


def _scatter(rest: Arm, controls: Arm) -> tuple[float, float]:
    """Return the next point of the line of ratios before, and the scatter around the line.

    The scatter is at least what counting alone brings (Poisson).
    """
    ours, theirs = (column[:WINDOWS] for column in _totals(rest, controls))
    ratio = ours / theirs
    t = np.arange(WINDOWS) - (WINDOWS - 1) / 2
    line = ratio.mean() + (ratio @ t) / (t @ t) * t
    seen = math.sqrt(float(((ratio - line) ** 2).sum()) / (WINDOWS - 2))
    weights = _weights(rest, controls)
    noise = float((weights**2 @ controls.before).mean())
    whole, other = float(ours.mean()), float(theirs.mean())
    counting = whole / other * math.sqrt(1.0 / max(whole, 1.0) + noise / other**2)
    return float(ratio @ NEXT), max(seen, counting)


def student(t: float, degrees: int) -> float:
    """Return the chance of more than `t` under Student's t, for even degrees of freedom.

    Abramowitz & Stegun 26.7.4.
    """
    angle = math.atan(t / math.sqrt(degrees))
    term, total, cosine2 = 1.0, 1.0, math.cos(angle) ** 2
    for i in range(1, degrees // 2):
        term *= cosine2 * (2 * i - 1) / (2 * i)
        total += term
    return (1.0 - math.sin(angle) * total) / 2.0


def permuted(rest: Arm, controls: Arm, seed: int, times: int = PERMUTATIONS) -> float:
    """Return the p of the difference of rest and controls under permutations within strata.

    The generator is numpy's PCG64; another version of numpy may draw others of the permutations.
    Raises nothing; 1.0 where nothing differs.
    """
    scores = _scores(rest, controls)
    observed = np.array([[_moments(ours)] for ours, _ in scores])  # (strata, 1, 2)
    pooled = [np.sort(np.concatenate(pair)) for pair in scores]
    sizes = [(len(ours), len(theirs)) for ours, theirs in scores]
    found = _standardised(observed, pooled, sizes)[0]
    if not np.isfinite(found):
        return 1.0
    generator = np.random.Generator(np.random.PCG64(seed))
    as_far, left = 0, times
    while left:
        n = min(CHUNK, left)
        drawn = np.stack([_draw(generator, p, s[0], n) for p, s in zip(pooled, sizes, strict=True)])
        as_far += int(np.count_nonzero(_standardised(drawn, pooled, sizes) >= found - 1e-9))
        left -= n
    return (1 + as_far) / (1 + times)


def _scores(rest: Arm, controls: Arm) -> list[tuple[Column, Column]]:
    """Return e of rest and controls by stratum, sorted: nothing depends on accounts' order."""
    numbers = np.unique(rest.stratum)
    parts = [(rest.only(rest.stratum == s), controls.only(controls.stratum == s)) for s in numbers]
    together = expected = 0.0
    for ours, theirs in parts:
        weight = len(ours.during) / (len(ours.during) + len(theirs.during))
        together += weight * (ours.during.sum() + theirs.during.sum())
        expected += weight * float((ours.before.sum(axis=0) + theirs.before.sum(axis=0)) @ NEXT)
    pace = together / max(expected, 1e-9)
    return [
        (np.sort(a.during - pace * (a.before @ NEXT)), np.sort(b.during - pace * (b.before @ NEXT)))
        for a, b in parts
    ]


def _moments(values: Column) -> tuple[float, float]:
    return float(values.sum()), float(values @ values)


def _draw(generator: np.random.Generator, pooled: Column, size: int, times: int) -> Matrix:
    """Return sums and sums of squares of random parts of a stratum, shape (times, 2)."""
    shuffled = generator.permuted(np.broadcast_to(pooled, (times, len(pooled))), axis=1)
    part = shuffled[:, :size]
    return np.stack((part.sum(axis=1), np.einsum("ij,ij->i", part, part)), axis=1)


def _standardised(
    drawn: Matrix, pooled: Sequence[Column], sizes: Sequence[tuple[int, int]]
) -> Column:
    """Return the difference of means over strata, over its standard error; shape (times,).

    `drawn` (strata, times, 2) are sums and sums of squares of the first side; those of the other
    are what is left.
    """
    difference, variance = np.zeros(drawn.shape[1]), np.zeros(drawn.shape[1])
    for (first, second), values, sums in zip(sizes, pooled, drawn, strict=True):
        rest = np.array(_moments(values)) - sums
        means = sums[:, 0] / first, rest[:, 0] / second
        difference += first * (means[0] - means[1])
        for part, mean, n in ((sums, means[0], first), (rest, means[1], second)):
            within = np.maximum(part[:, 1] / n - mean * mean, 0.0) * n / max(n - 1, 1)
            variance += first * first * within / n
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Column = difference / np.sqrt(variance)
    return ratio
