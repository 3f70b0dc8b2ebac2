"""What makes a rule fire: comparisons, thresholds of three kinds, and exceptions."""

import numpy as np
import pytest

from excise.features.population import Baselines, Wish
from excise.model.entity import Family, Kind
from excise.rules.compile import compile_rules, fires, numbers
from excise.rules.schema import (
    Comparison,
    Exemption,
    Maturity,
    Population,
    Relative,
    Rule,
    Rulebook,
)

NOBODY, KNOWN = 0, 5


class FakeView:
    """Three records: nobody's, and two of known entities."""

    kind = Kind.CLIENT
    rows = np.array([NOBODY, KNOWN, KNOWN])

    def __init__(self, **columns):
        self._columns = {name: np.array(values, dtype=float) for name, values in columns.items()}

    def __getitem__(self, name):
        return self._columns[name]


def rule(*when, **changes):
    base = {
        "id": "r",
        "about": "",
        "family": Family.VOLUME,
        "kind": Kind.CLIENT,
        "when": when,
        "weight": 10.0,
        "half_life_s": 60.0,
        "maturity": Maturity.STABLE,
        "hits_also": "",
    }
    return Rule(**(base | changes))


VIEW = FakeView(x=[9, 2, 6], y=[9, 4, 1])


@pytest.mark.parametrize(
    ("comparison", "expected"),
    [
        (Comparison("x", above=2.0), [False, False, True]),
        (Comparison("x", above=1.9), [False, True, True]),
        (Comparison("x", below=6.0), [False, True, False]),
        (Comparison("x", above=Relative("y")), [False, False, True]),
        (Comparison("x", above=Relative("y", times=0.4)), [False, True, True]),
        (Comparison("x", above=Relative("y", times=0.4, floor=3.0)), [False, False, True]),
        (Comparison("x", below=Relative("y", times=1.0)), [False, True, False]),
        (Comparison("x", above=Population(0.9, floor=5.0)), [False, False, True]),
        (Comparison("x", above=Population(0.9, floor=1.0)), [False, True, True]),
    ],
)
def test_a_comparison_is_strict_and_never_true_of_nobody(comparison, expected):
    assert expected == fires(rule(comparison), VIEW, Baselines()).tolist()


@pytest.mark.parametrize(
    ("times", "floor", "expected"),
    [(1.0, 0.0, [False, False, True]), (2.0, 0.0, [False] * 3), (0.4, 5.0, [False, False, True])],
)
def test_a_known_population_sets_the_threshold_above_the_floor(times, floor, expected):
    known = Baselines(values={Wish(Kind.CLIENT, "x", 0.9): 4.0})
    one = rule(Comparison("x", above=Population(0.9, floor=floor, times=times)))
    assert expected == fires(one, VIEW, known).tolist()


def test_all_comparisons_must_hold():
    one = rule(Comparison("x", above=1.0), Comparison("y", above=2.0))
    assert [False, True, False] == fires(one, VIEW, Baselines()).tolist()


def test_an_exception_whose_comparisons_all_hold_keeps_the_rule_quiet():
    both = Exemption("batch", when=(Comparison("x", above=5.0), Comparison("y", below=2.0)))
    one = rule(Comparison("x", above=1.0), exceptions=(both,))
    assert [False, True, False] == fires(one, VIEW, Baselines()).tolist()


def test_an_exception_by_name_alone_silences_no_record():
    one = rule(Comparison("x", above=1.0), exceptions=(Exemption("ours", names=("203.0.113.7",)),))
    assert [False, True, True] == fires(one, VIEW, Baselines()).tolist()


def test_numbers_give_feature_value_and_threshold_of_every_comparison():
    one = rule(
        Comparison("x", above=Relative("y", times=0.4, floor=1.0)), Comparison("y", below=5.0)
    )
    assert (("x", 2.0, 1.6), ("y", 4.0, 5.0)) == numbers(one, VIEW, Baselines(), 1)


def test_rules_are_sorted_by_kind_and_their_quantiles_are_wished_for_once():
    wanted = Comparison("x", above=Population(0.9, floor=1.0))
    inside = Exemption("but", when=(Comparison("y", below=Population(0.5, floor=1.0)),))
    book = Rulebook(
        (
            rule(wanted, id="a"),
            rule(wanted, id="b", exceptions=(inside,)),
            rule(wanted, id="c", kind=Kind.USE),
        )
    )
    compiled = compile_rules(book)
    assert ["a", "b"] == [r.id for r in compiled.by_kind[Kind.CLIENT]]
    assert ["c"] == [r.id for r in compiled.by_kind[Kind.USE]]
    expected = [(Kind.CLIENT, "x", 0.9), (Kind.CLIENT, "y", 0.5), (Kind.USE, "x", 0.9)]
    assert expected == [(w.kind, w.feature, w.quantile) for w in compiled.wishes]
