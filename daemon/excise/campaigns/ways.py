"""A group's ways beside those of everybody else: when, for which models, in which shapes."""

from __future__ import annotations

import numpy as np

from excise.campaigns.divergence import divergence
from excise.campaigns.evidence import added, summed
from excise.campaigns.groups import Groups
from excise.campaigns.pivot import pivot
from excise.campaigns.rhythm import flatness, longest_gap
from excise.features.conduct import DAY_S
from excise.features.habits import FRESH, HASHED, RECENT, UNASKED
from excise.features.interner import Rows
from excise.features.population import LEAST, OLD_S
from excise.features.state import Column
from excise.features.world import World
from excise.model.entity import Kind

#: most accounts outside of groups that are looked at; a fair sample of so many says what is usual
SAMPLE = 4_096
#: whose last request is this old takes no part in what is done of late
LATELY_S = 7_200.0


def ways(world: World, groups: Groups, now: float) -> dict[str, Column]:
    """Return the features of groups that rest on the habits of their accounts."""
    habits, of, n = world.conduct.habits, groups.of, groups.n
    hourly = summed(of, habits.hourly(groups.account, now), n)
    others = _others(world, groups, now)
    unlike, answers = divergence(
        habits.answers(groups.account), of, n, habits.answers(_settled(world, others, now))
    )
    sums = habits.sums[groups.account] * world.fade(now)
    questions = added(of, sums[:, HASHED], n)
    return {
        "newcomers": _newcomers(world, groups, now),
        "flatness": flatness(hourly),
        "longest_gap": longest_gap(hourly),
        "pivot": _pivot(world, groups, others, now),
        "divergence": unlike,
        "shape_answers": answers,
        "questions": questions,
        "unasked": added(of, sums[:, UNASKED], n) / np.maximum(questions, 1e-9),
    }


def _newcomers(world: World, groups: Groups, now: float) -> Column:
    """Share of a group's accounts that are younger than a week.

    Who came on the host's first day is none: then everybody is seen for the first time.
    """
    first, since = (
        world.tables[Kind.ACCOUNT].first[groups.account],
        world.conduct.habits.models.since,
    )
    new = ((first > now - OLD_S) & (first > since + DAY_S)).astype(np.float64)
    return added(groups.of, new, groups.n) / np.maximum(added(groups.of, None, groups.n), 1.0)


def _others(world: World, groups: Groups, now: float) -> Rows:
    """Return accounts of the day that are in no group: all, or a fair sample.

    Rows are given out in the order of arrival, so every k-th is fair. None where there is no group
    to compare them with.
    """
    if not groups.n:
        return np.empty(0, dtype=np.int64)
    outside = world.conduct.last[: world.used(Kind.ACCOUNT)] > now - DAY_S
    outside[groups.account] = False
    rows = np.flatnonzero(outside)
    return rows[:: max(1, len(rows) // SAMPLE)]


def _settled(world: World, others: Rows, now: float) -> Rows:
    """Return those who are old, if there are enough: newcomers cannot shift what is usual."""
    old = others[world.tables[Kind.ACCOUNT].first[others] < now - OLD_S]
    return old if len(old) >= LEAST else others


def _pivot(world: World, groups: Groups, others: Rows, now: float) -> Column:
    habits, last = world.conduct.habits, world.conduct.last
    if not groups.n or not habits.models.any_fresh(now):
        return np.zeros(groups.n)
    rows = np.concatenate((groups.account, others))
    of = np.concatenate((groups.of, np.full(len(others), -1, dtype=np.int64)))
    lately = last[rows] > now - LATELY_S
    sums = habits.sums[rows[lately]]
    return pivot(sums[:, FRESH], sums[:, RECENT], of[lately], groups.n)
