"""Formats by name, and by looking."""

from __future__ import annotations

import pytest

from excise.decode.base import DecodeContext
from excise.decode.registry import FORMATS, detect, make_decoder
from excise.errors import FormatError

CONTEXT = DecodeContext(trusted=(), account_key=b"k")
RECORD = b'{"ts":1767571200,"client":"192.0.2.7"}'
JSON = b'{"msec":1767571200,"remote_addr":"192.0.2.7"}'
COMBINED = b'192.0.2.7 - - [23/Nov/2026:14:37:26 +0000] "GET / HTTP/1.1" 200 1 "-" "x"'


@pytest.mark.parametrize("name", FORMATS)
def test_a_decoder_bears_the_name_it_is_made_by(name):
    assert name == make_decoder(name, CONTEXT).name


def test_an_unknown_name_is_an_error_that_lists_the_known():
    with pytest.raises(FormatError, match="nginx-json"):
        make_decoder("apache", CONTEXT)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([RECORD], "record"),
        ([JSON], "nginx-json"),
        ([COMBINED], "nginx"),
        ([b"", b"# a comment", RECORD, RECORD], "record"),
        ([RECORD, JSON, RECORD], "nginx-json"),
        ([b"half a line", COMBINED, COMBINED], "nginx"),
        ([b"junk"] * 99 + [JSON], "nginx-json"),
    ],
)
def test_the_format_with_the_fewest_rejects_is_found(lines, expected):
    assert expected == detect(lines, CONTEXT)


@pytest.mark.parametrize("lines", [[], [b""], [b"junk"], [b'{"a":1}']])
def test_lines_that_fit_no_format_are_an_error(lines):
    with pytest.raises(FormatError, match="none of the formats"):
        detect(lines, CONTEXT)
