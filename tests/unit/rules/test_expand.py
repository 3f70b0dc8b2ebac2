"""Test input to records, in event time."""

import pytest

from excise.errors import InvalidError
from excise.rules.expand import EPOCH_S, expand
from excise.rules.schema import Burst, RuleTest


def records(*bursts):
    return expand(RuleTest("t", tuple(bursts)))


def test_a_record_that_says_little_is_a_common_successful_request():
    (record,) = records(Burst({"client": "192.0.2.1"}))

    assert (EPOCH_S, "/v1/chat/completions", 200, "TLSv1.3") == (
        record.ts,
        record.path,
        record.status,
        record.tls,
    )


def test_bursts_are_merged_by_time():
    found = records(
        Burst({"client": "192.0.2.1"}, at_s=0, every_s=10, count=3),
        Burst({"client": "192.0.2.2"}, at_s=5, every_s=10, count=2),
    )

    assert [("1", 0), ("2", 5), ("1", 10), ("2", 15), ("1", 20)] == [
        (r.client[-1], r.ts - EPOCH_S) for r in found
    ]


def test_numbers_are_filled_into_texts_lists_and_number_fields():
    template = {
        "client": "192.0.2.{i}",
        "account": "acct-{i%2}",
        "output_tokens": "{i}00",
        "prompt": ["aa", "b{i%3}"],
    }
    found = records(Burst(template, count=4))

    assert ["192.0.2.0", "192.0.2.1", "192.0.2.2", "192.0.2.3"] == [r.client for r in found]
    assert ["acct-0", "acct-1", "acct-0", "acct-1"] == [r.account for r in found]
    assert [0, 100, 200, 300] == [r.output_tokens for r in found]
    assert ("aa", "b0") == found[3].prompt


def test_addresses_are_canonical_as_in_a_log():
    (record,) = records(Burst({"client": "::ffff:192.0.2.1"}))

    assert "192.0.2.1" == record.client


def test_a_number_that_leaves_the_field_s_range_is_refused():
    with pytest.raises(InvalidError, match="address:client"):
        records(Burst({"client": "192.0.2.{i}"}, count=300))


def test_null_means_not_known_and_takes_a_default_away():
    (record,) = records(Burst({"client": "192.0.2.1", "status": None}))

    assert record.status == -1
