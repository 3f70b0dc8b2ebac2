import pytest

from excise.daemon.formats import UNKNOWN_FORMAT, decoder_for
from excise.decode.base import DecodeContext
from excise.errors import FormatError

CONTEXT = DecodeContext(trusted=(), account_key=b"k" * 32)
RECORD = b'{"ts": 1750000000, "client": "192.0.2.7"}'
COMBINED = b'192.0.2.7 - - [15/Jun/2025:15:06:40 +0000] "GET / HTTP/1.1" 200 5 "-" "curl"'


@pytest.mark.parametrize(("line", "name"), [(RECORD, "record"), (COMBINED, "nginx")])
def test_auto_becomes_the_format_of_the_first_lines(line, name):
    decoder = decoder_for("auto", CONTEXT)
    assert decoder.name == "auto"

    decoded = decoder.decode([line])

    assert [record.client for record in decoded.records] == ["192.0.2.7"]
    assert decoder.name == name


def test_lines_of_no_format_are_counted_and_the_search_goes_on():
    decoder = decoder_for("auto", CONTEXT)

    decoded = decoder.decode([b"what is this", b""])
    assert [reject.reason for reject in decoded.rejects] == [UNKNOWN_FORMAT]

    assert len(decoder.decode([RECORD]).records) == 1


def test_no_lines_decide_nothing():
    decoder = decoder_for("auto", CONTEXT)

    assert decoder.decode([]).rejects == []
    assert decoder.name == "auto"


def test_a_format_nobody_knows_is_an_error():
    with pytest.raises(FormatError):
        decoder_for("xml", CONTEXT)
