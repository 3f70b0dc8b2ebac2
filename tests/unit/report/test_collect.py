"""The numbers of a report are those of the replay."""

import pytest

from excise.replay.chronicle import CELL_S, STOPPED, Chronicle
from excise.report.collect import MOST_BARS, timeline


def counted(cells):
    chronicle = Chronicle()
    for ts, tokens in cells:
        chronicle.count([float(ts)], [tokens])
    return chronicle


def test_the_timeline_adds_up_to_what_was_read(raided):
    traffic = raided.summary.traffic
    served, throttled, stopped = (
        sum(getattr(bar, name) for bar in raided.bars)
        for name in ("served", "throttled", "stopped")
    )
    assert traffic.output_tokens == served + throttled + stopped
    assert raided.summary.stopped.output_tokens == stopped > 0
    assert raided.summary.throttled.output_tokens == throttled


def test_bars_are_few_and_evenly_spaced(raided):
    steps = {b.ts - a.ts for a, b in zip(raided.bars, raided.bars[1:], strict=False)}
    assert {raided.bar_s} == steps
    assert 20 < len(raided.bars) <= MOST_BARS


@pytest.mark.parametrize("days", [0.01, 1, 7, 40, 400])
def test_a_log_of_any_length_is_drawn_in_so_many_bars(days):
    chronicle = counted([(0, 5), (days * 86_400, 7)])
    _, bars = timeline(chronicle, which=1)
    assert 1 < len(bars) <= MOST_BARS
    assert (5, 7) == (bars[0].served, bars[-1].served)


def test_a_line_of_another_year_does_not_squeeze_the_day():
    chronicle = counted([(10**9 + 60 * n, 1) for n in range(20_000)] + [(1, 1)])
    width, _ = timeline(chronicle, which=0)
    assert width < 86_400


def test_what_was_stopped_is_not_counted_as_served():
    chronicle = counted([(0, 10), (0, 30)])
    chronicle.enforced[STOPPED][0] = [1, 30]
    _, (bar,) = timeline(chronicle, which=1)
    assert (10, 0, 30) == (bar.served, bar.throttled, bar.stopped)


def test_an_empty_log_has_no_bars():
    assert (float(CELL_S), ()) == timeline(Chronicle(), which=1)


def test_both_campaigns_are_told_with_their_members_and_exits(raided):
    enforced = [s for s in raided.stories if s.detail.summary.enforced_ts is not None]
    assert raided.enforced_campaigns == len(enforced) >= 2
    for story in enforced:
        assert story.detail.counts["accounts"] == len(story.net.accounts)
        names = {name for name, _ in story.net.accounts}
        assert {e.account for e in story.net.edges} <= names
        assert {e.client for e in story.net.edges} == {c for c, _ in story.net.exits}
        assert {"deny"} == {state for _, state in story.net.accounts}


def test_scores_are_of_what_was_decided_and_what_was_not(raided):
    counted = sum(networks + accounts for _, networks, accounts in raided.scores)
    assert counted >= raided.summary.targets_enforced


def test_bystanders_add_up_to_the_summarys(raided):
    assert raided.bystander_count >= len(raided.bystanders)
    shown = sum(line.records for line in raided.bystanders)
    assert shown <= raided.summary.bystanders.records


def test_without_tokens_requests_are_drawn(reported):
    lines = [b'{"ts": %d, "client": "192.0.2.1"}' % (10**9 + n) for n in range(50)]
    report = reported(lines)
    assert "requests" == report.unit
    assert 50 == sum(bar.served for bar in report.bars)
