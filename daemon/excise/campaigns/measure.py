"""What a group does as a whole: the features that rules of kind `campaign` compare."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from excise.campaigns.alike import medians
from excise.campaigns.evenness import unevenness
from excise.campaigns.evidence import added, distinct, pooled
from excise.campaigns.graph import of_links, of_ties, waiting
from excise.campaigns.groups import Groups
from excise.campaigns.haunts import haunts
from excise.campaigns.succession import succession
from excise.campaigns.ways import ways
from excise.features.conduct import AT
from excise.features.interner import Rows
from excise.features.state import Column, Matrix
from excise.features.world import World
from excise.model.entity import Kind

#: an account takes part in the comparison of token shapes from this many answers on
LEAST_ANSWERS = 2.0
#: least variance of log2 tokens within a member: a tenth of an octave
ROUNDING = 0.01


@dataclass(frozen=True, slots=True)
class Measured:
    """Feature columns of n groups; `rows` are what decisions know the groups by."""

    rows: Rows
    columns: dict[str, Column]
    kind: Kind = Kind.CAMPAIGN

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]

    def at(self, group: int) -> dict[str, float]:
        """Return the features of one group."""
        return {name: float(column[group]) for name, column in self.columns.items()}


def measure(world: World, groups: Groups, rows: Rows, now: float) -> Measured:
    """Measure groups as they stand at `now`; `rows` names them, shape (n,)."""
    sums = world.conduct.sums[groups.account] * world.fade(now)
    everybody = world.conduct.sums[:, AT["output"]].sum() * world.fade(now)
    total = {name: _sum(sums, name, groups) for name in ("requests", "output", "input", "answers")}
    answers = np.maximum(total["answers"], 1e-9)
    columns = {
        "members": distinct(groups.of, world.conduct.principals(groups.account), groups.n),
        "requests_24h": total["requests"],
        "output_tokens_24h": total["output"],
        "output_share": total["output"] / max(everybody, 1e-9),
        "output_ratio": total["output"] / np.maximum(total["input"], 1.0),
        "output_per_request": total["output"] / np.maximum(total["requests"], 1e-9),
        "mean_output": np.exp2(_sum(sums, "log_output", groups) / answers) - 1.0,
        "mean_input": np.exp2(_sum(sums, "log_input", groups) / answers) - 1.0,
        "unevenness": _unevenness(world, groups, now),
        "unlikeness": np.maximum(
            _unlikeness(sums, groups, "log_output"), _unlikeness(sums, groups, "log_input")
        ),
        **of_ties(world, groups, now),
        "substitution": np.zeros(groups.n),  # who tries campaigns knows what came of it
    }
    columns |= _succession(world, groups) | ways(world, groups, now)
    columns |= _whereabouts(world, groups, now) | _lately(world, groups, now)
    columns |= _shares(sums, groups) | of_links(world, groups, now)
    return Measured(rows, columns)


def _sum(sums: Matrix, name: str, groups: Groups) -> Column:
    return added(groups.of, sums[:, AT[name]], groups.n)


def _whereabouts(world: World, groups: Groups, now: float) -> dict[str, Column]:
    """Say where the typical member of each group is found within a day."""
    found = haunts(world, groups.account, now)
    typical = {"exits": found.addresses, "networks": found.networks, "home_share": found.home}
    return {name: medians(groups.of, column) for name, column in typical.items()}


def _lately(world: World, groups: Groups, now: float) -> dict[str, Column]:
    """Sum what a group takes now: a day's sums say little when it has just changed its ways."""
    requests, output, tokens_in = (
        added(groups.of, world.decayed(name, Kind.ACCOUNT, groups.account, now), groups.n)
        for name in ("requests_1h", "output_tokens_1h", "input_tokens_1h")
    )
    return {
        "requests_1h": requests,
        "output_tokens_1h": output,
        "output_ratio_1h": output / np.maximum(tokens_in, 1.0),
        "output_per_request_1h": output / np.maximum(requests, 1e-9),
    }


def _shares(sums: Matrix, groups: Groups) -> dict[str, Column]:
    of, n = groups.of, groups.n
    back, prompts = sums[:, AT["repeats"]], sums[:, AT["prompts"]]
    moves, repeats = pooled(back, sums[:, AT["moved"]], of, n)
    alone, _ = pooled(back, sums[:, AT["alone"]], of, n)
    roams, _ = pooled(back, sums[:, AT["roamed"]], of, n)
    strays, returns = pooled(sums[:, AT["alone"]], sums[:, AT["strayed"]], of, n)
    begins, _ = pooled(prompts, sums[:, AT["begins"]], of, n)
    taken, _ = pooled(prompts, sums[:, AT["taken_over"]], of, n)
    soft, _ = pooled(sums[:, AT["answers"]], sums[:, AT["soft"]], of, n)
    return {
        "repeats": repeats,
        "moves": moves,
        "roams": roams,
        "lone_returns": alone,
        "returns": returns,
        "strays": strays,
        "begins": begins,
        "taken_over": taken,
        "soft_labels": soft,
    }


def _succession(world: World, groups: Groups) -> dict[str, Column]:
    first = world.tables[Kind.ACCOUNT].first[groups.account]
    last = np.maximum(first, world.conduct.last[groups.account])
    uneven, mean = succession(first, last, groups.of, groups.n)
    generations = added(groups.of, None, groups.n) / np.maximum(mean, 1.0)
    return {"turnover": generations, "turnover_spread": uneven}


def _unevenness(world: World, groups: Groups, now: float) -> Column:
    accounts, group = waiting(world, groups, now)
    rows, of = np.concatenate((groups.account, accounts)), np.concatenate((groups.of, group))
    requests = world.conduct.sums[rows, AT["requests"]] * world.fade(now)
    age_s = now - world.tables[Kind.ACCOUNT].first[rows]
    return unevenness(requests, age_s, of, groups.n)


def _unlikeness(sums: Matrix, groups: Groups, name: str) -> Column:
    """F of a log quantity between members: about 1 where all draw from one distribution (Fisher).

    The spread within members is at least `ROUNDING`, that of nearly constant lengths.
    """
    kept = sums[:, AT["answers"]] >= LEAST_ANSWERS
    s, of, n = sums[kept], groups.of[kept], groups.n
    answers, x, xx = s[:, AT["answers"]], s[:, AT[name]], s[:, AT[f"{name}_sq"]]
    members, count, total = added(of, None, n), added(of, answers, n), added(of, x, n)
    by_member = added(of, x * x / np.maximum(answers, 1e-9), n)
    within = np.maximum(added(of, xx, n) - by_member, 0.0)
    between = np.maximum(by_member - total * total / np.maximum(count, 1e-9), 0.0)
    mean_within = np.maximum(within / np.maximum(count - members, 1e-6), ROUNDING)
    return np.where(count > members, between / np.maximum(members - 1, 1) / mean_within, 0.0)
