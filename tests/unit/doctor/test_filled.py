"""In what share of the requests a field is told."""

import pytest

from excise.doctor.filled import FILLED, answered, shares

FULL = {
    "account": "a",
    "model": "m",
    "input_tokens": 0,
    "output_tokens": 0,
    "bytes_out": 0,
    "status": 200,
    "duration": 0.0,
    "tcp_rtt": 0.0,
    "tls_handshake": 0.0,
    "tls": "none",
    "ja4": "t13",
    "user_agent": "c/1",
    "prompt": ("00",),
    "simhash": "00",
    "stream": False,
    "request_id": "r",
}


def test_a_field_counts_where_it_is_told_also_as_nought(record):
    assert dict.fromkeys(FILLED, 1.0) == shares([record(**FULL)])
    assert {"client"} == {name for name, share in shares([record()]).items() if share}
    assert 0.25 == shares([record(ja4="t13"), *[record()] * 3])["ja4"]
    assert {0.0} == set(shares([]).values())


@pytest.mark.parametrize(
    ("fields", "counts"),
    [
        ({}, True),
        ({"method": "POST", "status": 200}, True),
        ({"method": "POST", "status": 401}, False),
        ({"method": "GET", "status": 200}, False),
        ({"status": 502}, False),
    ],
)
def test_requests_that_no_model_answered_say_nothing_about_the_log(record, fields, counts):
    chat = record(method="POST", status=200)
    assert counts == (record(**fields) in answered([chat, record(**fields)])[:2])


def test_where_there_are_no_others_they_count(record):
    probes = [record(method="GET", status=200)]
    assert probes == answered(probes)
