"""Format `record`: the batch path and the careful path tell the same."""

from __future__ import annotations

import json

import pytest

from excise.decode.base import MAX_LINE_BYTES, DecodeContext
from excise.decode.record import BATCH, EXAMINED, RecordDecoder

GOOD = b'{"ts":1767571200,"client":"192.0.2.7","account":"a","prompt":["ab"],"simhash":"%016x"}'


@pytest.fixture
def decoder():
    return RecordDecoder(DecodeContext(trusted=(), account_key=b"k"))


def line(**fields):
    return json.dumps({"ts": 1767571200, "client": "192.0.2.7"} | fields).encode()


@pytest.mark.parametrize("place", [0, 1, BATCH - 1, BATCH, 3 * BATCH + 5])
@pytest.mark.parametrize(
    "odd",
    [
        line(model="-"),
        line(client="::ffff:192.0.2.9"),
        line(client="junk"),
        line(peer="192.0.2.1"),
        line(n=None),
        line(user_agent="ä"),
        line(simhash="f"),
        line(ts=5),
        line(prompt=["abc"]),
        line(prompt=["a b "]),
        b'{"ts":1767571200,"client":"192.0.2.7","client":"192.0.2.8"}',
        b'{"ts":1767571200,"client":"192.0.2.7","account":"a","account":"b"}',
        b"x" * (MAX_LINE_BYTES + 1),
        b"junk",
        b"",
        b" \t\r",
    ],
)
def test_an_odd_line_is_decoded_as_if_it_were_alone(decoder, odd, place):
    lines = [GOOD % i for i in range(4 * BATCH)]
    good = decoder.decode(lines).records
    alone = decoder.decode([odd])
    together = decoder.decode([*lines[:place], odd, *lines[place:]])
    assert [*good[:place], *alone.records, *good[place:]] == together.records
    assert alone.rejects == together.rejects


def test_blank_lines_are_neither_records_nor_rejects(decoder):
    decoded = decoder.decode([b"", b"  ", b"\r", GOOD % 1])
    assert (1, 0) == (len(decoded.records), len(decoded.rejects))


def test_nothing_decodes_to_nothing(decoder):
    decoded = decoder.decode([])
    assert ([], [], 0) == (decoded.records, decoded.rejects, decoded.unknown_fields)


def test_a_line_at_the_limit_is_read_and_one_byte_more_is_not(decoder):
    frame = line(model="")
    most = line(model="m" * (MAX_LINE_BYTES - len(frame)))
    decoded = decoder.decode([most, most + b" "])
    assert [MAX_LINE_BYTES - len(frame)] == [len(record.model) for record in decoded.records]
    assert ["too-long"] == [reject.reason for reject in decoded.rejects]


def test_deep_nesting_is_rejected(decoder):
    decoded = decoder.decode([b'{"ts":1767571200,"client":"192.0.2.7","x":' + b"[" * 50_000])
    assert ["depth"] == [reject.reason for reject in decoded.rejects]


def test_unknown_fields_of_few_lines_are_counted_exactly(decoder):
    lines = [line(colour=i, taste=i) if i % 2 else line() for i in range(EXAMINED)]
    assert EXAMINED == decoder.decode(lines).unknown_fields


def test_unknown_fields_of_many_like_lines_are_counted_exactly(decoder):
    lines = [line(colour=i) for i in range(1000)]
    assert 1000 == decoder.decode(lines).unknown_fields


def test_a_reject_shows_the_first_bytes_only(decoder):
    (reject,) = decoder.decode([b"x" * 10_000]).rejects
    assert b"x" * 200 == reject.sample


@pytest.mark.parametrize("field", ["account", "ja4", "user_agent"])
def test_a_name_of_any_length_is_kept_short_and_its_own(field, decoder):
    def named(name):
        (record,) = decoder.decode([line(**{field: name})]).records
        return getattr(record, field)

    one, other = "a" * 10_000, "a" * 9_999 + "b"

    assert len(named(one)) == 512
    assert named(one) == named(one)
    assert named(one) != named(other)
    assert named("a" * 512) == "a" * 512
