"""Questions asked before within a day are known again, in a table that never grows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from excise.features.questions import ASKED_S, Questions, numbered


def asked(questions, hashes, times):
    return questions.unasked(np.array(hashes), np.array(times, dtype=float)).tolist()


@pytest.mark.parametrize(
    ("hashes", "times", "expected"),
    [
        ([5, 6, 5, 6, 7], [1, 2, 3, 4, 5], [1, 1, 0, 0, 1]),
        ([5, 5], [1, ASKED_S + 1], [1, 0]),
        ([5, 5], [1, ASKED_S + 2], [1, 1]),
        ([0, 0], [1, 2], [0, 0]),
        ([5, 21, 5], [1, 2, 3], [1, 1, 1]),
    ],
    ids=["again", "a day later", "after that", "not logged", "pushed out"],
)
def test_a_question_is_new_if_it_was_not_asked_within_a_day(hashes, times, expected):
    assert expected == asked(Questions(16), hashes, times)


@given(st.lists(st.integers(0, 40)), st.integers(0, 40))
def test_batches_make_no_difference(hashes, cut):
    times = list(range(1, len(hashes) + 1))
    parts = Questions(16)
    in_two = asked(parts, hashes[:cut], times[:cut]) + asked(parts, hashes[cut:], times[cut:])

    assert asked(Questions(16), hashes, times) == in_two


def test_what_was_asked_outlives_a_restart_and_another_capacity():
    before, after = Questions(16), Questions(64)
    asked(before, [5, 6], [1, 2])
    after.load(before.dump())

    assert [False, False, True] == asked(after, [5, 6, 7], [3, 4, 5])


def test_hashes_of_any_form_are_told_apart():
    found = numbered(["00000000000000ff", "", "f" * 16, "ff", "no hash"])

    assert [255, 0, (1 << 63) - 1, 255] == found[:4].tolist()
    assert found[4] > 0
    assert [255, 0] == numbered(["00000000000000ff", ""]).tolist()
