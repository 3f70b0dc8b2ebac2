"""What a gateway writes of a request is what is read of it, whatever a client sent."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.writers import WRITERS, told, write

from excise.decode.base import DecodeContext
from excise.decode.registry import FORMATS, detect, make_decoder
from excise.model.record import Record

CONTEXT = DecodeContext(trusted=(), account_key=b"k")
START = 1_795_444_646
#: formats of which the writer escapes nothing: a quote or a control byte cannot be told
UNESCAPED = {"envoy", "uvicorn", "traefik"}

hostile = st.sampled_from(
    ['x" 200 1 "-" "y', '","remote_addr":"203.0.113.9', "\\", '\\"', "\\x22", "#22", "%22",
     "\u202e", "\ud7ff", "é", "日本",
     "\x7f", "\t", "\r", "{}|", "} {", "] ", " - - [", "0" * 40, "null"]
)  # fmt: skip
anything = st.lists(hostile | st.text(st.characters(codec="utf-8"), max_size=6), max_size=4).map(
    "".join
)
name = anything.map(lambda text: "x" + text.replace("\n", "").replace("\x00", ""))
plain = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='"\\'))
path = st.text(st.sampled_from("abcXYZ/019._-~%"), max_size=20).map(lambda tail: "/" + tail)
v4 = st.builds("192.0.2.{}".format, st.integers(0, 255))
v6 = st.builds("2001:db8::{:x}".format, st.integers(1, 0xFFFF))
whole = st.integers(0, 2**40)


def requests(agents):
    return st.builds(
        Record,
        ts=st.integers(START, START + 86_400).map(float),
        client=v4 | v6,
        client_port=st.integers(1, 65_535),
        account=st.just("k_1"),
        org=st.just("o_1"),
        method=st.sampled_from(["GET", "POST"]),
        path=path,
        status=st.integers(200, 599),
        model=st.just("m-mid"),
        request_id=st.text("0123456789abcdef", min_size=8, max_size=8),
        input_tokens=whole,
        output_tokens=whole,
        bytes_in=whole,
        bytes_out=whole,
        duration=st.integers(0, 100_000).map(lambda ms: ms / 1000),
        ttfb=st.just(0.0),
        tls=st.just("TLSv1.3"),
        sni=st.just("llm.example.net"),
        alpn=st.just("h2"),
        user_agent=agents,
    )


def close(record):
    """Times to the millisecond, as they are written."""
    times = {name: round(getattr(record, name), 3) for name in ("ts", "duration", "ttfb")}
    return msgspec.structs.replace(record, **times)


def expected(name, request):
    whole = told(name, request)
    return msgspec.structs.replace(whole, peer="0.0.0.0") if name == "alb" else whole


@pytest.mark.parametrize("format_", [name for name in WRITERS if name not in UNESCAPED])
@given(batch=st.lists(requests(name), min_size=1, max_size=6))
def test_every_request_is_read_as_it_was_written(format_, batch):
    lines = [write(format_, request) for request in batch]
    decoded = make_decoder(format_, CONTEXT).decode(lines)
    assert [] == decoded.rejects
    assert [close(expected(format_, r)) for r in batch] == [close(r) for r in decoded.records]


@pytest.mark.parametrize("format_", sorted(UNESCAPED))
@given(batch=st.lists(requests(plain.map(lambda t: "x" + t)), min_size=1, max_size=6))
def test_so_it_is_where_nothing_is_escaped_and_nothing_needs_to_be(format_, batch):
    lines = [write(format_, request) for request in batch]
    decoded = make_decoder(format_, CONTEXT).decode(lines)
    assert [] == decoded.rejects
    assert [close(expected(format_, r)) for r in batch] == [close(r) for r in decoded.records]


@given(request=requests(name))
def test_where_nothing_is_escaped_a_client_can_be_lost_but_not_be_somebody_else(request):
    decoded = make_decoder("envoy", CONTEXT).decode([write("envoy", request)])
    assert {r.client for r in decoded.records} <= {request.client}


@pytest.mark.parametrize("format_", WRITERS)
@given(batch=st.lists(requests(plain.map(lambda t: "x" + t)), min_size=1, max_size=3))
def test_a_format_is_recognised_by_its_lines(format_, batch):
    assert format_ == detect([write(format_, request) for request in batch], CONTEXT)


def test_there_is_a_writer_for_every_format():
    assert set(FORMATS) == set(WRITERS)
