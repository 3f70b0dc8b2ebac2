"""Lines out of containers and syslog are what they were before."""

import json

import pytest

from excise.decode.base import MAX_LINE_BYTES, DecodeContext
from excise.decode.envelope import FRUITLESS, strip
from excise.decode.registry import make_decoder

CONTEXT = DecodeContext(trusted=(), account_key=b"k")
LINE = b'{"ts":1795444646,"client":"192.0.2.7"}'
CRI = b"2026-11-23T14:37:26.646000000+01:00 stdout F "


def docker(payload, end="\n"):
    told = {"log": payload.decode() + end, "stream": "stdout", "time": "2026-11-23T14:37:26.6Z"}
    return json.dumps(told).encode()


@pytest.mark.parametrize(
    "line",
    [
        CRI + LINE,
        b"2026-11-23T14:37:26Z stderr F:tag " + LINE,
        docker(LINE),
        b"<190>Nov 23 14:37:26 nginx: " + LINE,
        b"<190>Nov  3 14:37:26 host.example.net nginx[77]: " + LINE,
        b"Nov 23 14:37:26 host nginx: " + LINE,
        b"2026-11-23T14:37:26.646+01:00 host nginx[77]: " + LINE,
        b"<165>1 2026-11-23T14:37:26.646Z host nginx 77 ID47 - " + LINE,
        b'<165>1 2026-11-23T14:37:26Z host nginx - - [a@1 k="v\\"\\]"][b c="d"] \xef\xbb\xbf'
        + LINE,
        LINE,
    ],
)
def test_a_line_is_freed_of_what_carries_it(line):
    assert LINE == strip(line)
    assert ["192.0.2.7"] == [
        r.client for r in make_decoder("record", CONTEXT).decode([line]).records
    ]


def parts(*texts):
    return [b"2026-11-23T14:37:26Z stdout " + kind + b" " + text for kind, text in texts]


def decoded(lines):
    done = make_decoder("record", CONTEXT).decode(lines)
    return [r.client for r in done.records], [r.reason for r in done.rejects]


def test_a_line_in_parts_is_joined():
    lines = parts((b"P", LINE[:9]), (b"P", LINE[9:20]), (b"F", LINE[20:]))
    assert (["192.0.2.7"], []) == decoded(lines)


def test_parts_of_two_streams_are_told_apart():
    out = parts((b"P", LINE[:9]), (b"F", LINE[9:]))
    err = [line.replace(b"stdout", b"stderr") for line in out]
    assert (["192.0.2.7"] * 2, []) == decoded([out[0], err[0], out[1], err[1]])


def test_parts_may_come_in_different_chunks():
    decoder = make_decoder("record", CONTEXT)
    found = [decoder.decode([line]).records for line in parts((b"P", LINE[:9]), (b"F", LINE[9:]))]
    assert [0, 1] == [len(records) for records in found]


def test_dockers_parts_are_joined_too():
    assert (["192.0.2.7"], []) == decoded([docker(LINE[:9], ""), docker(LINE[9:])])


def test_a_line_that_never_ends_is_bounded():
    endless = parts(*[(b"P", b"x" * 100_000)] * 40, (b"F", b"x"), (b"F", LINE))
    assert (["192.0.2.7"], ["too-long"]) == decoded(endless)


def test_nobody_puts_a_header_into_a_log_that_has_none():
    decoder = make_decoder("record", CONTEXT)
    assert 1 == len(decoder.decode([LINE]).records)
    assert ["syntax"] == [r.reason for r in decoder.decode([CRI + LINE]).rejects]


def test_a_log_that_changes_its_carrier_is_understood_after_a_while():
    decoder = make_decoder("record", CONTEXT)
    decoder.decode([LINE])
    decoder.decode([CRI + LINE] * (FRUITLESS + 1))
    assert 1 == len(decoder.decode([CRI + LINE]).records)


def test_a_broken_first_line_decides_nothing():
    assert (["192.0.2.7"], ["syntax"]) == decoded([b'half a line"}', CRI + LINE])


def test_the_longest_line_may_be_carried():
    long = b'{"ts":1795444646,"client":"192.0.2.7","model":"' + b"m" * 200_000 + b'"}'
    assert len(long) < MAX_LINE_BYTES
    assert (["192.0.2.7"], []) == decoded([CRI + long])
