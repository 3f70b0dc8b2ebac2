"""Marks count answered requests between two moments to the request, for accounts new and gone."""

import numpy as np
import pytest

from excise.campaigns.marks import KEPT, Marks
from excise.engine import Engine
from excise.model.record import Record
from excise.model.settings import Capacity, Settings
from excise.model.step import Observed
from excise.rules.schema import Rulebook

START = 1_700_000_400.0
WINDOW_S = 1_800.0


@pytest.fixture
def engine():
    capacity = Capacity(**dict.fromkeys(Capacity.__struct_fields__, 4096))
    return Engine(Settings(capacity=capacity), Rulebook())


@pytest.fixture
def ask(engine):
    """Have accounts ask so many times each, spread over a window that begins at a moment."""

    def make(window, status=200, **counts):
        records = [
            Record(
                ts=START + window * WINDOW_S + (i + 0.5) * WINDOW_S / n,
                client="203.0.113.7",
                account=name,
                output_tokens=9,
                status=status,
            )
            for name, n in counts.items()
            for i in range(n)
        ]
        engine.step([Observed(sorted(records, key=lambda r: r.ts))])

    return make


@pytest.fixture
def rows(engine):
    return lambda *names: np.array([engine.world.accounts.rows[n] for n in names], dtype=np.int64)


def at(window):
    return START + window * WINDOW_S


def test_requests_are_counted_window_by_window(engine, ask, rows):
    marks = Marks()
    marks.take(engine.world, at(0))
    ask(0, a=7, b=60)
    marks.take(engine.world, at(1))
    ask(1, a=3, late=5)
    ask(1, status=429, a=50)
    marks.take(engine.world, at(2))

    expected = [[7.0, 3.0], [60.0, 0.0], [0.0, 5.0]]
    assert expected == marks.requests(rows("a", "b", "late"), 2).tolist()
    assert [[3.0], [0.0]] == marks.requests(rows("a", "b"), 1).tolist()
    assert at(1) == marks.since(1)


def test_counts_stay_exact_when_the_landmark_moves(engine, ask, rows):
    marks = Marks()
    for window in range(12):
        marks.take(engine.world, at(window))
        ask(window, a=11)
    marks.take(engine.world, at(12))

    assert [[11.0] * 12] == marks.requests(rows("a"), 12).tolist()


def test_only_as_many_marks_as_a_trial_takes_are_kept(engine):
    marks = Marks()
    for window in range(KEPT + 5):
        marks.take(engine.world, at(window))

    assert (KEPT, KEPT) == (len(marks.times), len(marks.sums))
    assert at(5) == marks.times[0]


def test_an_account_whose_row_was_given_up_has_asked_nothing(engine, ask, rows):
    marks = Marks()
    ask(0, a=7, b=5)
    marks.take(engine.world, at(1))
    marks.forget(np.concatenate((rows("a"), [4_000])))
    marks.take(engine.world, at(2))

    assert 0.0 == marks.earlier(rows("a"), 1)[0]
    assert marks.earlier(rows("b"), 1)[0] > 4.9


def test_marks_come_back_from_arrays_as_they_were(engine, ask, rows):
    marks, again = Marks(), Marks()
    ask(0, a=7)
    marks.take(engine.world, at(1))
    ask(1, a=2, b=5)
    marks.take(engine.world, at(2))
    again.load(*marks.dump().values())

    assert marks.times == again.times
    assert marks.requests(rows("a", "b"), 1).tolist() == again.requests(rows("a", "b"), 1).tolist()
    assert [(0,), (0, 0)] == [array.shape for array in Marks().dump().values()]


def test_a_clock_that_is_set_back_takes_the_marks_along(engine):
    marks = Marks()
    marks.take(engine.world, at(1))
    marks.step_back(100.0)

    assert [at(1) - 100.0] == marks.times
    marks.clear()
    assert ([], []) == (marks.times, marks.sums)
