"""Every feature says what its table promises, for each kind that has it."""

import math
import random

import numpy as np
import pytest

from excise.features.table import FEATURES
from excise.features.values import resting
from excise.model.entity import TABLED, Kind
from excise.model.record import Record

CLIENT = "203.0.113.7/32"
DAY = 86_400.0


@pytest.mark.parametrize(
    "case",
    [(f.name, kind) for f in FEATURES.values() for kind in sorted(f.kinds.intersection(TABLED))],
    ids=str,
)
def test_every_feature_is_a_finite_number_for_each_of_its_kinds(engine, observe, record, case):
    name, kind = case
    watched = engine()
    common = {"account": "a", "user_agent": "x", "prompt": ("aa",), "output_tokens": 9}
    observe(watched, [record(i, **common) for i in range(3)])
    table = watched.world.tables[kind]
    view = resting(table, np.array([0, 1]), watched.clock, watched.world.landmark)
    assert np.isfinite(view[name]).all()
    assert (2,) == view[name].shape


def test_a_clock_has_no_spread_of_gaps(engine, observe, record, value):
    watched = engine()
    observe(watched, [record(i * 5.0) for i in range(500)])
    assert value(watched, Kind.CLIENT, CLIENT, "gap_spread") < 0.01


def test_arrivals_at_random_spread_by_almost_two_octaves(engine, observe, record, value):
    # The logarithm of an exponential gap has a deviation of pi / sqrt(6), in octaves 1.85.
    rng, at_s, records = random.Random(7), 0.0, []
    for _ in range(8000):
        at_s += rng.expovariate(2.0)
        records.append(record(at_s))
    watched = engine()
    observe(watched, records)
    expected = math.pi / math.sqrt(6) / math.log(2)
    assert pytest.approx(expected, rel=0.06) == value(watched, Kind.CLIENT, CLIENT, "gap_spread")


def test_the_typical_answer_is_the_log_mean(engine, observe, record, value):
    watched = engine()
    observe(watched, [record(0, output_tokens=15, status=200) for _ in range(3)])
    observe(watched, [record(0, output_tokens=1023, status=200) for _ in range(1)])
    log_mean = (3 * math.log2(16) + math.log2(1024)) / 4
    assert pytest.approx(2**log_mean - 1) == value(watched, Kind.CLIENT, CLIENT, "mean_output")
    # around 5.5 octaves: three answers 1.5 below, one 4.5 above
    spread = math.sqrt((3 * 1.5**2 + 4.5**2) / 4)
    assert pytest.approx(spread) == value(watched, Kind.CLIENT, CLIENT, "spread_output")


def test_answers_that_failed_or_have_no_tokens_do_not_move_the_typical_one(
    engine, observe, record, value
):
    watched = engine()
    observe(watched, [record(0, output_tokens=100, status=200)])
    observe(watched, [record(1, output_tokens=-1), record(2, output_tokens=5000, status=500)])
    assert pytest.approx(100, rel=1e-3) == value(watched, Kind.CLIENT, CLIENT, "mean_output")
    assert pytest.approx(1, rel=1e-3) == value(watched, Kind.CLIENT, CLIENT, "llm_requests_24h")
    assert pytest.approx(1, rel=1e-2) == value(watched, Kind.CLIENT, CLIENT, "errors_1h")


def test_active_hours_are_hours_of_the_day_in_which_it_asked(engine, observe, record, value):
    watched = engine()
    observe(watched, [record(hour * 3600.0) for hour in (0, 0.1, 1, 2, 2.01)])
    assert 3 == value(watched, Kind.CLIENT, CLIENT, "active_hours")


def test_plaintext_counts_requests_known_to_be_without_tls(engine, observe, record, value):
    watched = engine()
    observe(watched, [record(0, tls=tls) for tls in ("none", "none", "TLSv1.3", "")])
    assert pytest.approx(2) == value(watched, Kind.CLIENT, CLIENT, "plaintext_1h")


def test_hosts_of_one_v6_64_are_one_client(engine, observe, record, value):
    watched = engine()
    observe(watched, [record(0, client=f"2001:db8:1:2::{i:x}") for i in range(1, 31)])
    assert 30 == value(watched, Kind.CLIENT, "2001:db8:1:2::/64", "total")
    assert 1 == watched.world.size(Kind.CLIENT)[0]


@pytest.mark.parametrize(
    "case",
    [
        ("198.51.100.200", ["198.51.100.0/24"]),
        ("2001:db8:abcd:1234::9", ["2001:db8:abcd:1200::/56", "2001:db8:abcd::/48"]),
    ],
)
def test_a_record_counts_in_the_subnets_around_its_client(engine, observe, record, value, case):
    client, subnets = case
    watched = engine()
    observe(watched, [record(0, client=client), record(1, client=client)])
    assert subnets == [n for n in watched.world.interner(Kind.SUBNET).rows if n]
    assert [2.0] * len(subnets) == [value(watched, Kind.SUBNET, s, "total") for s in subnets]


def test_per_head_features_divide_by_distinct_heads(engine, observe, record, value):
    watched = engine()
    records = [
        record(0, client=f"203.0.113.{i + 1}", account="a", output_tokens=50) for i in range(4)
    ]
    observe(watched, records * 2)
    assert pytest.approx(100, rel=0.02) == value(watched, Kind.ACCOUNT, "a", "output_per_client")
    assert pytest.approx(2, rel=0.02) == value(watched, Kind.ACCOUNT, "a", "requests_per_client")


def test_age_is_since_first_seen_and_idle_since_the_last_request(engine, observe, record, value):
    watched = engine()
    observe(watched, [record(0), record(50)])
    now = watched.clock + 10
    assert 60 == value(watched, Kind.CLIENT, CLIENT, "age_s", now)
    assert 10 == value(watched, Kind.CLIENT, CLIENT, "idle_s", now)


def test_nobody_is_no_account(engine, observe, record):
    watched = engine()
    observe(watched, [record(i, account="") for i in range(5)])
    assert 0 == watched.world.size(Kind.ACCOUNT)[0]
    assert 0 == watched.world.size(Kind.USE)[0]


def test_a_use_is_an_account_through_one_stack(engine, observe):
    watched = engine()
    stacks = [{"ja4": "t13d", "user_agent": "x"}, {"user_agent": "x"}, {"user_agent": "x"}]
    observe(watched, [Record(ts=1e9, client="192.0.2.1", account="a", **s) for s in stacks])
    names = [watched.world.name(Kind.USE, row) for row in watched.world.uses.rows.values() if row]
    assert ["a via t13d x", "a via x"] == names
