"""Any log_format string is a parser, unless a client could shift its columns."""

import pytest

from excise.decode.base import DecodeContext
from excise.decode.registry import Format, make_decoder
from excise.decode.trust import parse_networks
from excise.errors import FormatError
from excise.model.record import Record

CONTEXT = DecodeContext(trusted=parse_networks(["198.51.100.0/24"]), account_key=b"sample")
TS = 1_795_444_646.0


def decode(template, *lines):
    decoded = make_decoder(Format("nginx", template), CONTEXT).decode([s.encode() for s in lines])
    return decoded.records, [reject.reason for reject in decoded.rejects]


COMMON = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $bytes_sent'
    ' "$http_user_agent" rt=$request_time uht="$upstream_header_time"'
)
COMMON_LINE = (
    '192.0.2.7 - - [23/Nov/2026:14:37:26 +0000] "GET /v1/models?key=1 HTTP/1.1" 200 5'
    ' "curl" rt=0.250 uht="0.1, 0.2"'
)
COMMON_TOLD = {
    "method": "GET",
    "path": "/v1/models",
    "status": 200,
    "bytes_out": 5,
    "user_agent": "curl",
    "duration": 0.25,
    "ttfb": 0.2,
}
DIRECTIVE = """log_format x escape=json '{"t":"$time_iso8601","who":{"ip":"$remote_addr"},'
  '"st":$status,"rt":$request_time,"line":"$request"}';"""
DIRECTIVE_LINE = (
    '{"t":"2026-11-23T14:37:26+00:00","who":{"ip":"192.0.2.7"},"st":200,"rt":0.250,'
    '"line":"GET / HTTP/1.1"}'
)


@pytest.mark.parametrize(
    ("template", "line", "expected"),
    [
        (COMMON, COMMON_LINE, COMMON_TOLD),
        (
            "$msec|$remote_addr|$status|$request_time|$upstream_header_time",
            "1795444646.000|192.0.2.7|200|0.250|0.1, 0.2 : 0.3",
            {"status": 200, "duration": 0.25, "ttfb": 0.3},
        ),
        (
            '[$time_iso8601] ${remote_addr} "$request_method $request_uri $server_protocol"',
            '[2026-11-23T15:37:26+01:00] 192.0.2.7 "POST /a b HTTP/1.1"',
            {"method": "POST", "path": "/a b"},
        ),
        (
            '$msec $remote_addr "$http_x_forwarded_for" $remote_port',
            '1795444646.000 198.51.100.1 "192.0.2.66, 192.0.2.7" 4711',
            {"peer": "198.51.100.1"},
        ),
        (
            '$msec $proxy_protocol_addr $remote_addr "$http_authorization" $status',
            '1795444646.000 192.0.2.7 198.51.100.1 "Bearer sk-1" 200',
            {"peer": "198.51.100.1", "status": 200, "account": "4a66100d46cd67cebda6f4abfadf57ef"},
        ),
        (
            DIRECTIVE,
            DIRECTIVE_LINE,
            {"status": 200, "duration": 0.25, "method": "GET", "path": "/"},
        ),
    ],
)
@pytest.mark.parametrize("times", [1, 5])
def test_a_line_of_a_configured_format(template, line, expected, times):
    records, rejects = decode(template, *[line] * times)
    assert [] == rejects
    assert [Record(ts=TS, client="192.0.2.7", **expected)] * times == records


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("$remote_addr $msec $http_user_agent $http_referer", "could shift the columns"),
        ("$remote_addr $msec $my_variable $uri", r"\$my_variable and \$uri may hold blanks"),
        ('$remote_addr $msec "$http_user_agent $request_uri"', "could shift the columns"),
        ("$remote_addr$msec", "nothing between"),
        ("$remote_addr $status", r"no \$time_iso8601"),
        ("$msec $status", r"no \$remote_addr"),
        ('$msec "$remote_addr', "never closed"),
        ("nothing", "no"),
        ('{"a":$msec,', "begins like JSON"),
        ("log_format x escape=none '$remote_addr $msec';", "escape=none"),
    ],
)
def test_what_is_refused(template, message):
    with pytest.raises(FormatError, match=message):
        make_decoder(Format("nginx", template), CONTEXT)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('192.0.2.7 x" 200 1 "y [23/Nov/2026:14:37:26 +0000] 200', ["shape"]),
        ("192.0.2.7 eve [23/Nov/2026:14:37:26 +0000] 200 200", ["shape"]),
        ("192.0.2.7 eve [x] [23/Nov/2026:14:37:26 +0000] 200", []),
    ],
)
def test_one_value_with_blanks_is_read_in_one_way_or_not_at_all(line, expected):
    records, rejects = decode("$remote_addr $remote_user [$time_local] $status", line)
    assert expected == rejects
    assert {200} >= {r.status for r in records}
