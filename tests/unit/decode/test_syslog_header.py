"""Syslog headers: taken off where there is one, and never found in what was sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from excise.decode.syslog_header import SyslogMessage, parse_message, payload_of

JSON = b'{"ts": 1750000000, "client": "203.0.113.7"}'
COMBINED = b'203.0.113.7 - - [05/Jan/2026:00:00:01 +0000] "GET / HTTP/1.1" 200 5 "-" "x: y"'


@pytest.mark.parametrize("payload", [JSON, COMBINED, b"word: " + JSON, b""])
@pytest.mark.parametrize(
    ("header", "host", "tag"),
    [
        (b"<190>Nov 23 14:37:26 web1 nginx: ", b"web1", b"nginx"),
        (b"<190>Nov  3 14:37:26 nginx: ", b"", b"nginx"),
        (b"<134>Nov 23 14:37:26 haproxy[4711]: ", b"", b"haproxy"),
        (b"<134>Nov 23 14:37:26 2001:db8::7 haproxy[4711]: ", b"2001:db8::7", b"haproxy"),
        (b"<134>2026-11-23T14:37:26.123456+00:00 web1 haproxy[4711]: ", b"web1", b"haproxy"),
        (b"Nov 23 14:37:26 web1 nginx: ", b"web1", b"nginx"),
        (b"<165>1 2026-11-23T14:37:26.003Z web1 caddy 4711 - - ", b"web1", b"caddy"),
        (b"<165>1 - - - - - - ", b"", b""),
        (b'<13>1 2026-11-23T14:37:26Z h a - - [x@1 k="a\\"\\] b" l="c"][y@1] ', b"h", b"a"),
        (b"<165>1 2026-11-23T14:37:26.003Z web1 caddy - - - \xef\xbb\xbf", b"web1", b"caddy"),
    ],
)
def test_a_header_is_taken_off_and_nothing_else(header, host, tag, payload):
    assert SyslogMessage(payload, host, tag) == parse_message(header + payload)


@pytest.mark.parametrize("payload", [JSON, COMBINED])
@pytest.mark.parametrize("header", [b"<0>", b"<191>", b"<190>Nov 23 14:37:26 "])
def test_a_header_without_a_tag_is_taken_off_as_well(header, payload):
    assert SyslogMessage(payload) == parse_message(header + payload)


@pytest.mark.parametrize("message", [JSON, COMBINED, b"", b"<192>x", b"<007>x", b"Nov 23 x: y"])
def test_what_has_no_header_is_left_as_it_is(message):
    assert parse_message(message) is None
    assert message == payload_of(message)


@given(st.binary(max_size=300))
def test_a_payload_arrives_whatever_it_looks_like(payload):
    for header in (b"<190>Nov 23 14:37:26 h t: ", b"<165>1 - h t - - - "):
        sent = payload.removeprefix(b"\xef\xbb\xbf").lstrip(b" ")
        assert sent == payload_of(header + sent)


def test_a_message_made_to_be_slow_is_not():
    hostile = b"<13>1 - h a - - [" + b'a b="' + b"\\" * 200_000
    assert hostile.removeprefix(b"<13>") == payload_of(hostile)
