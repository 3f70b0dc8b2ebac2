"""Durations as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from excise.errors import InvalidError
from excise.model.duration import MAX_S, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100ms", 0.1),
        ("90s", 90.0),
        ("15m", 900.0),
        ("15min", 900.0),
        ("1h", 3600.0),
        ("1h30m", 5400.0),
        ("1h 30min", 5400.0),
        ("1.5h", 5400.0),
        (" 2d ", 172_800.0),
        ("1w", 604_800.0),
    ],
)
def test_a_number_with_its_unit_is_seconds(text, expected):
    assert expected == parse_duration(text)


@pytest.mark.parametrize(
    "text",
    ["", "h", "1", "1 fortnight", "-1h", "0s", "1h-5m", "1e3s", "4000d", "\u0663h", "1hx", "1 2h"],
)
def test_anything_else_is_refused(text):
    with pytest.raises(InvalidError):
        parse_duration(text)


@given(st.integers(min_value=1, max_value=int(MAX_S)))
def test_what_is_written_reads_back_within_its_two_largest_units(seconds):
    back = parse_duration(format_duration(seconds))
    assert 0 <= seconds - back < max(1, seconds / 24)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0s"), (45, "45s"), (125, "2m5s"), (3600, "1h"), (3605, "1h"), (90_061, "1d1h")],
)
def test_a_duration_is_written_in_its_two_largest_units(seconds, expected):
    assert expected == format_duration(seconds)
