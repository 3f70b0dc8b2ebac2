"""A model is new for a day after its first answer, once the host's own record is a day old."""

import numpy as np
import pytest

from excise.features.models import IDLE_S, NEW_S, Models

START = 1_700_000_000.0


def seen(models, *uses):
    """Tell of uses, (model, seconds from the start), one batch each; return what was new."""
    return [bool(models.fresh([name], np.array([START + at]))[0]) for name, at in uses]


@pytest.mark.parametrize(
    ("uses", "expected"),
    [
        ([("a", 0), ("b", 3600), ("b", NEW_S)], [False, False, False]),
        ([("a", 0), ("b", NEW_S + 1), ("b", 2 * NEW_S), ("a", 2 * NEW_S)], [0, 1, 1, 0]),
        ([("a", 0), ("b", NEW_S + 1), ("b", 2 * NEW_S + 1)], [0, 1, 0]),
        ([("a", 0), ("", NEW_S + 1)], [False, False]),
    ],
    ids=["the host's first day", "a day later", "for a day only", "not logged"],
)
def test_a_model_is_new_for_a_day(uses, expected):
    assert expected == seen(Models(), *uses)


def test_batches_make_no_difference():
    names = ["a", "b", "c", "b"]
    ts = START + np.array([0.0, NEW_S + 1, NEW_S + 2, 2 * NEW_S])

    assert (
        seen(Models(), *zip(names, ts - START, strict=True)) == Models().fresh(names, ts).tolist()
    )


def test_more_models_than_there_is_room_for_are_no_news_until_others_are_forgotten():
    models = Models(most=16)
    seen(models, *((f"m{i}", i) for i in range(40)))

    assert len(models.names) <= 16
    assert [False] == seen(models, ("late", NEW_S + 100))
    assert [True] == seen(models, ("later", IDLE_S + 100))
    assert [True] == seen(models, ("latest", IDLE_S + 101))


def test_times_follow_a_clock_that_was_set_back():
    models = Models()
    seen(models, ("a", 0), ("b", NEW_S + 1))
    models.shift(3600.0)

    assert models.any_fresh(START + 2 * NEW_S - 3601)
    assert not models.any_fresh(START + 2 * NEW_S - 3598)
