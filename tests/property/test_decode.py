"""Decoding, whatever the lines: nothing raises, nothing is lost, cuts do not matter."""

from __future__ import annotations

import json
import string

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from excise.decode.base import MAX_LINE_BYTES, DecodeContext
from excise.decode.registry import FORMATS, make_decoder
from excise.decode.request import without_query
from excise.decode.trust import TrustedProxies, parse_networks
from excise.model.record import Record

NETWORKS = parse_networks(["198.51.100.0/24", "2001:db8:ff::/48"])
CONTEXT = DecodeContext(trusted=NETWORKS, account_key=b"k")
DEFAULTS = msgspec.structs.asdict(Record(ts=0.0, client=""))

v4 = st.builds("192.0.2.{}".format, st.integers(0, 255))
v6 = st.builds("2001:db8::{:x}".format, st.integers(1, 0xFFFF))
address = v4 | v6
proxy = st.builds("198.51.100.{}".format, st.integers(0, 255))
text = st.text(st.characters(codec="utf-8"), max_size=30).filter(lambda s: s != "-")
count = st.just(-1) | st.integers(0, 2**53)
seconds = st.just(-1.0) | st.floats(0, 1e8)
digits = st.text(string.hexdigits.lower(), min_size=1, max_size=32)

records = st.builds(
    Record,
    ts=st.floats(946_684_800, 4_102_444_799),
    client=v4,
    peer=st.just("") | v6,
    client_port=st.just(-1) | st.integers(0, 65_535),
    status=st.just(-1) | st.integers(0, 999),
    **dict.fromkeys(
        ("account", "org", "method", "model", "request_id", "connection", "tls", "ja4",
         "sni", "alpn", "user_agent"), text),
    **dict.fromkeys(
        ("input_tokens", "output_tokens", "reasoning_tokens", "cached_tokens", "bytes_in",
         "bytes_out", "max_tokens", "n", "logprobs", "logit_bias"), count),
    path=text.map(without_query),
    duration=seconds,
    ttfb=seconds,
    tcp_rtt=seconds,
    tls_handshake=seconds,
    temperature=st.just(-1.0) | st.floats(0, 1e6),
    prompt=st.lists(digits, max_size=8).map(tuple),
    simhash=st.just("") | st.integers(0, 2**64 - 1).map("{:016x}".format),
    stream=st.sampled_from([None, True, False]),
)  # fmt: skip


def known_fields(record):
    fields = msgspec.structs.asdict(record)
    return {name: value for name, value in fields.items() if value != DEFAULTS[name]}


def as_text(fields):
    """As a template writes them: numbers quoted."""
    return {k: str(v) if type(v) in {int, float} else v for k, v in fields.items()}


def with_blanks(fields):
    return dict.fromkeys(DEFAULTS, "") | fields


@pytest.mark.parametrize("spell", [dict, as_text, with_blanks])
@pytest.mark.parametrize("ascii_only", [True, False])
@given(record=records)
def test_a_record_survives_being_written_and_decoded(spell, ascii_only, record):
    line = json.dumps(spell(known_fields(record)), ensure_ascii=ascii_only).encode()
    decoded = make_decoder("record", CONTEXT).decode([line])
    assert ([record], [], 0) == (decoded.records, decoded.rejects, decoded.unknown_fields)


fragments = st.sampled_from(
    [b'{"ts":1767571200,"client":"192.0.2.7"}', b'{"ts":', b'"client":', b'"-"', b"{", b"}", b":",
     b",", b'"', b"\\u0041", b"\\", b"1", b"-1", b"null", b"[", b"]", b"\xff", b"\x00", b" ",
     b'192.0.2.7 - - [23/Nov/2026:14:37:26 +0000] "GET / HTTP/1.1" 200 1 "-" "x"',
     b'{"msec":1767571200,"remote_addr":"192.0.2.7","request":"GET / HTTP/1.1"}']
)  # fmt: skip
junk = st.binary(max_size=60) | st.lists(fragments, max_size=8).map(b"".join)
overlong = st.just(b"x" * (MAX_LINE_BYTES + 1))


@st.composite
def damaged(draw):
    """A good line with a byte or a piece changed."""
    line = json.dumps(known_fields(draw(records))).encode()
    at = draw(st.integers(0, len(line)))
    return line[:at] + draw(st.binary(max_size=2)) + line[draw(st.integers(at, len(line))) :]


values = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.lists(st.integers() | st.text(max_size=5), max_size=3)
    | st.dictionaries(st.text(max_size=5), st.integers(), max_size=2)
)  # fmt: skip
variables = ["msec", "remote_addr", "realip_remote_addr", "http_x_forwarded_for", "remote_user",
             "request", "status", "ssl_protocol", "remote_port"]  # fmt: skip
strange = st.dictionaries(
    st.sampled_from([*DEFAULTS, *variables]) | st.text(max_size=8), values, max_size=8
).map(lambda fields: json.dumps(fields).encode())
any_line = (junk | damaged() | strange | overlong).map(lambda line: line.replace(b"\n", b" "))


@pytest.mark.parametrize("name", FORMATS)
@given(lines=st.lists(any_line, max_size=12))
def test_every_line_is_a_record_or_a_reject_unless_blank(name, lines):
    decoded = make_decoder(name, CONTEXT).decode(lines)
    blanks = sum(not line.strip() for line in lines)
    assert len(lines) == len(decoded.records) + len(decoded.rejects) + blanks
    assert all(len(reject.reason) <= 40 for reject in decoded.rejects)


@pytest.mark.parametrize("name", FORMATS)
@given(lines=st.lists(any_line, max_size=12), data=st.data())
def test_where_lines_are_cut_into_chunks_does_not_matter(name, lines, data):
    cut = data.draw(st.integers(0, len(lines)))
    decoder = make_decoder(name, CONTEXT)
    whole, first, second = map(decoder.decode, (lines, lines[:cut], lines[cut:]))
    assert first.records + second.records == whole.records
    assert first.rejects + second.rejects == whole.rejects


@pytest.mark.parametrize("name", FORMATS)
@given(line=any_line)
def test_what_is_decoded_holds_what_the_core_relies_on(name, line):
    for record in make_decoder(name, CONTEXT).decode([line]).records:
        fields = known_fields(record)
        fields.pop("prompt", None)
        again = msgspec.convert(fields, Record)
        assert again == msgspec.structs.replace(record, prompt=())
        assert record.peer != record.client


hops = st.lists(
    address | proxy | st.sampled_from(["unknown", "", "-", "[::1", "1.2.3"]), max_size=6
)


@given(peer=address, header=hops)
def test_an_untrusted_peer_is_the_client_whatever_it_says(peer, header):
    assert (peer, "") == TrustedProxies(NETWORKS).walk(peer, ", ".join(header))


@given(peer=proxy, client=address, forged=hops, path=st.lists(proxy, max_size=4))
def test_nothing_a_client_forges_changes_who_it_is(peer, client, forged, path):
    header = ", ".join([*forged, client, *path])
    assert (client, peer) == TrustedProxies(NETWORKS).walk(peer, header)


@given(peer=proxy | address, header=hops)
def test_the_client_is_the_peer_or_a_hop(peer, header):
    client, told = TrustedProxies(NETWORKS).walk(peer, ", ".join(header))
    assert client in {peer, *header}
    assert (peer if client != peer else "") == told
