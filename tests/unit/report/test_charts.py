"""Charts: round scales, a bar for every part, nothing for nothing."""

import pytest

from excise.report.charts import nice, scores, timeline
from excise.report.collect import Bar
from excise.report.text import moment, percent, safe, short, span

RUNGS = (("observe", 20.0), ("throttle", 40.0), ("drop", 65.0))


@pytest.mark.parametrize(
    ("value", "expected"), [(0, 1), (1, 1), (1.1, 1.2), (7, 8), (99, 100), (2_100, 2_400)]
)
def test_scales_end_at_round_numbers(value, expected):
    assert expected == pytest.approx(nice(value))


def test_a_bar_has_its_parts_and_a_word_on_them():
    svg = timeline([Bar(0.0, 10, 20, 30), Bar(60.0, 0, 0, 5)], 60.0, "output tokens")
    assert (1, 1, 2) == tuple(svg.count(f'<rect class="{k}"') for k in
                              ("served", "throttled", "stopped"))  # fmt: skip
    assert "throttled: 20 output tokens" in svg


def test_scores_show_where_the_rungs_begin():
    svg = scores([(0.0, 1, 0), (5.0, 0, 0), (10.0, 3, 2)], RUNGS)
    assert "score 10 to 15: 3 networks, 2 accounts" in svg
    assert [True] * 3 == [f"{name} {at:g}" in svg for name, at in RUNGS]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(950, "950"), (12_345, "12.3 k"), (4_560_000, "4.56 M"), (2e9, "2 G"), (0.5, "0.5")],
)
def test_numbers_are_short(value, expected):
    assert expected == short(value).replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, "0 s"), (59.6, "1 min"), (90_061, "1 d 1 h"), (7_200, "2 h")]
)
def test_spans_have_two_units(seconds, expected):
    assert expected == span(seconds).replace("\N{NO-BREAK SPACE}", " ")


def test_shares_of_nothing_and_times_of_no_calendar_are_told():
    assert "\N{EN DASH}" == percent(0, 0) == moment(None)
    assert "1000000000000000000" == moment(1e18)


def test_text_is_escaped_also_for_attributes_and_shows_what_cannot_be_seen():
    assert "&lt;b&gt;&quot;&#x27;&amp; \\u202e\\x1b" == safe("<b>\"'& \u202e\x1b")
