"""What accounts are used for, and when, is counted, kept over a restart, and forgotten."""

import numpy as np
import pytest

from excise.engine import Engine
from excise.features.habits import CELLS, FRESH, HASHED, RECENT, UNASKED, grid_cells, tally

HOUR = 3600.0
FIELDS = {"account": "a", "status": 200, "input_tokens": 90, "output_tokens": 3000}


@pytest.fixture
def used(engine, observe, record):
    """Return an engine that has seen requests of account a at so many hours after the start."""

    def make(*hours, **fields):
        watched = engine()
        observe(watched, [record(h * HOUR, **(FIELDS | fields)) for h in hours])
        return watched

    return make


def hourly(engine, name="a"):
    rows = np.array([engine.world.accounts.rows[name]])
    return engine.world.conduct.habits.hourly(rows, engine.clock)[0]


def test_requests_are_counted_by_the_hour_for_two_days(used):
    day = range(3, 48)

    assert [2.0, 1.0, 3.0, *[1.0] * 45] == hourly(used(0, 0, 1, 2, 2, 2, *day)).tolist()
    assert [1.0] * 48 == hourly(used(0, 0, 1, 2, 2, 2, *day, 48, 49, 50)).tolist()


def test_hours_without_any_record_are_empty(used, engine):
    watched = used(0, 1)
    habits, row = watched.world.conduct.habits, watched.world.accounts.rows["a"]

    assert 2.0 == habits.hourly(np.array([row]), watched.clock + 20 * HOUR).sum()
    assert 0.0 == habits.hourly(np.array([row]), watched.clock + 60 * HOUR).sum()


def test_failures_and_strangers_leave_no_habits(used):
    assert 0.0 == hourly(used(0, status=503)).sum()
    assert 0 == used(0, account="").world.conduct.habits.hours.sum()


def test_answers_fall_into_cells_of_two_octaves(used):
    watched = used(0, 0)
    grid = watched.world.conduct.habits.answers(np.array([watched.world.accounts.rows["a"]]))[0]

    assert {3 * 8 + 5: 2.0} == {i: n for i, n in enumerate(grid.tolist()) if n}
    assert [0, CELLS - 1] == grid_cells(np.array([0.0, 40.0]), np.array([1.9, 99.0])).tolist()


def test_answers_without_known_tokens_are_in_no_cell(used):
    watched = used(0, output_tokens=-1, bytes_out=4000)

    assert 0 == watched.world.conduct.habits.grid.sum()


def test_answers_are_forgotten_after_a_day(used):
    watched = used(0, *range(1, 30), output_tokens=3000)
    rows = np.array([watched.world.accounts.rows["a"]])

    assert 12 <= watched.world.conduct.habits.answers(rows).sum() <= 25


def test_a_full_count_stays_full():
    counts = np.zeros((3, 2), dtype=np.uint8)
    for _ in range(2):
        tally(counts, np.full(200, 1), np.zeros(200, dtype=np.int64))

    assert [[0, 0], [255, 0], [0, 0]] == counts.tolist()


def test_output_under_new_models_and_new_questions_are_summed(engine, observe, record):
    watched = engine()
    observe(
        watched, [record(h * HOUR, model="old", **(FIELDS | {"account": "b"})) for h in range(25)]
    )
    sent = [("old", "01"), ("new", "01"), ("new", "02"), ("new", "02")]
    observe(watched, [record(25 * HOUR, model=m, simhash=s, **FIELDS) for m, s in sent])
    sums = watched.world.conduct.habits.sums[watched.world.accounts.rows["a"]]

    assert 3 / 4 == pytest.approx(sums[FRESH] / sums[RECENT])
    assert 2 / 4 == pytest.approx(sums[UNASKED] / sums[HASHED])


def test_batches_make_no_difference(engine, observe, record):
    records = [
        record(
            i * 700.0,
            model=f"m{i // 90}",
            simhash=f"{i % 50:x}",
            **(FIELDS | {"account": f"a{i % 3}"}),
        )
        for i in range(300)
    ]
    whole, parts = engine(), engine()
    observe(whole, records)
    for begin in range(0, 300, 7):
        observe(parts, records[begin : begin + 7])
    one, other = (e.world.conduct.habits.dump(9) for e in (whole, parts))

    assert [] == [name for name in one if not np.array_equal(one[name], other[name])]


def test_habits_outlive_a_restart(used):
    before = used(0, 25, 26, model="m", simhash="ab")
    after = Engine(before.settings, before.rulebook)
    after.restore(before.snapshot())
    one, other = (e.world.conduct.habits for e in (before, after))

    assert hourly(before).tolist() == hourly(after).tolist()
    assert one.sums[1].tolist() == other.sums[1].tolist()
    assert one.models.names.rows == other.models.names.rows
    assert one.models.since == other.models.since


def test_hours_follow_a_clock_that_was_set_back(used):
    watched = used(0, 1, 1)
    habits, row = watched.world.conduct.habits, np.array([watched.world.accounts.rows["a"]])
    before = hourly(watched).tolist()
    habits.shift(5 * HOUR)

    assert before == habits.hourly(row, watched.clock - 5 * HOUR)[0].tolist()


def test_forgotten_accounts_leave_nothing(used):
    watched = used(0, 1, simhash="ab")
    habits, row = watched.world.conduct.habits, watched.world.accounts.rows["a"]
    habits.forget(np.array([row]))

    assert (0, 0, 0.0) == (habits.hours[row].sum(), habits.grid[row].sum(), habits.sums[row].sum())
