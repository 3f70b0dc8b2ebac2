"""Rules as array predicates: which records of a piece make a rule fire, and with which numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from excise.features.population import Baselines, Wish
from excise.features.values import Bools, Columns
from excise.model.entity import Kind
from excise.rules.schema import Comparison, Population, Relative, Rule, Rulebook


@dataclass(frozen=True, slots=True)
class Compiled:
    """Rules by kind, in id order, and the quantiles they ask for."""

    by_kind: dict[Kind, tuple[Rule, ...]]
    wishes: tuple[Wish, ...]


def compile_rules(book: Rulebook) -> Compiled:
    """Sort a rulebook for evaluation."""
    kinds = {rule.kind for rule in book.rules}
    wishes = {
        Wish(rule.kind, c.feature, t.quantile)
        for rule in book.rules
        for c in _comparisons(rule)
        for t in (c.above, c.below)
        if isinstance(t, Population)
    }
    return Compiled(
        {k: tuple(r for r in book.rules if r.kind is k) for k in kinds}, tuple(sorted(wishes))
    )


def _comparisons(rule: Rule) -> list[Comparison]:
    return [*rule.when, *(c for e in rule.exceptions for c in e.when)]


def fires(rule: Rule, view: Columns, baselines: Baselines) -> Bools:
    """Return per record whether the rule's comparisons hold for the record's entity."""
    mask = _all(rule.when, view, baselines)
    for exemption in rule.exceptions:
        if exemption.when and mask.any():
            mask &= ~_all(exemption.when, view, baselines)
    return mask


def _all(comparisons: tuple[Comparison, ...], view: Columns, baselines: Baselines) -> Bools:
    mask: Bools = view.rows > 0
    for comparison in comparisons:
        if not mask.any():
            break
        value, limit = view[comparison.feature], threshold(comparison, view, baselines)
        mask = mask & (value > limit if comparison.above is not None else value < limit)
    return mask


def threshold(c: Comparison, view: Columns, baselines: Baselines) -> np.ndarray | float:
    """Return what a feature is compared with: one number, or one per record."""
    limit = c.above if c.above is not None else c.below
    if isinstance(limit, Population):
        known = baselines.get(Wish(view.kind, c.feature, limit.quantile))
        return limit.floor if known is None else max(limit.floor, limit.times * known)
    if isinstance(limit, Relative):
        return np.maximum(limit.floor, limit.times * view[limit.feature])
    if limit is None:
        raise ValueError(f"comparison of {c.feature} has no threshold")
    return float(limit)


def numbers(
    rule: Rule, view: Columns, baselines: Baselines, at: int
) -> tuple[tuple[str, float, float], ...]:
    """Return (feature, value, threshold) of a rule at one record, for a person to read."""
    out = []
    for c in rule.when:
        limit = threshold(c, view, baselines)
        bound = limit if isinstance(limit, float | int) else limit[at]
        out.append((c.feature, round(float(view[c.feature][at]), 3), round(float(bound), 3)))
    return tuple(out)
