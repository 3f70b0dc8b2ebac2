"""Formats in the configuration: names, log_format strings, mappings of JSON."""

from datetime import UTC

import pytest

from excise.config import parse_config
from excise.config.values import decode_context, local_zone
from excise.decode.registry import make_decoder
from excise.model.record import Record
from excise.yamlread import read_yaml


def configured(text):
    config, errors = parse_config(read_yaml(text, "c.yaml"))
    return config, [str(error) for error in errors]


def decode(text, line):
    config, errors = configured(text)
    assert [] == errors
    context = decode_context(config, b"sample", getattr(config.inputs[0].format, "zone", ""))
    decoded = make_decoder(config.inputs[0].format, context).decode([line])
    assert [] == decoded.rejects
    return decoded.records


MAPPING = """\
trusted_proxies: [198.51.100.0/24, "unix:"]
inputs:
  - file: /x.log
    format:
      json:
        timezone: Europe/Berlin
        fields:
          ts: {path: at, time: epoch_ms}
          client: request.remote_ip
          x_forwarded_for: request.headers.X-Forwarded-For
          path: request.uri
          user_agent: [request, headers, "User.Agent"]
          status: {path: code, or: status}
          duration: {path: took, unit: ms}
          tcp_rtt: {path: rtt, unit: us}
          tls_handshake: {path: handshake, unit: ms}
          output_tokens: usage.completion_tokens
          credential: request.headers.Authorization
"""


def test_a_mapping_of_keys():
    line = (
        b'{"at":1795444646250,"request":{"remote_ip":"198.51.100.1","uri":"/v1/x?key=1","headers":'
        b'{"X-Forwarded-For":["192.0.2.66","192.0.2.7"],"User.Agent":["curl"],"Authorization":'
        b'["Bearer sk-1"]}},"status":200,"took":1500,"rtt":5012,"handshake":105,'
        b'"usage":{"completion_tokens":7}}'
    )
    expected = Record(
        ts=1795444646.25,
        client="192.0.2.7",
        peer="198.51.100.1",
        path="/v1/x",
        user_agent="curl",
        status=200,
        duration=1.5,
        tcp_rtt=0.005012,
        tls_handshake=0.105,
        output_tokens=7,
        account="4a66100d46cd67cebda6f4abfadf57ef",
    )
    assert [expected] == decode(MAPPING, line)


def mapped(ts, extra=""):
    fields = f"{{client: c, ts: {ts}}}"
    return f"inputs: [{{file: /x.log, format: {{json: {{fields: {fields}{extra}}}}}}}]"


@pytest.mark.parametrize(
    ("ts", "value"),
    [
        ("t", b"1795444646"),
        ("t", b'"2026-11-23T14:37:26Z"'),
        ("{path: t, time: rfc3339}", b'"2026-11-23T15:37:26+01:00"'),
        ("{path: t, time: epoch_s}", b'"1795444646"'),
        ("{path: t, time: epoch_us}", b"1795444646000000"),
        ("{path: t, time: epoch_ns}", b'"1795444646000000000"'),
        ("{path: t, time: common}", b'"23/Nov/2026:14:37:26 +0000"'),
    ],
)
def test_ways_to_write_a_moment(ts, value):
    (record,) = decode(mapped(ts), b'{"c":"192.0.2.7","t":' + value + b"}")
    assert 1795444646.0 == record.ts


def test_a_time_without_zone_is_of_the_zone_that_is_told():
    text = mapped("t", ", timezone: Europe/Berlin")
    (record,) = decode(text, b'{"c":"192.0.2.7","t":"2026-11-23 15:37:26"}')
    assert 1795444646.0 == record.ts


def test_a_unix_socket_may_be_trusted():
    line = (
        b'{"at":1795444646000,"request":{"remote_ip":"unix:","headers":'
        b'{"X-Forwarded-For":"192.0.2.7"}}}'
    )
    assert [Record(ts=1795444646.0, client="192.0.2.7")] == decode(MAPPING, line)


@pytest.mark.parametrize(
    ("format_", "expected"),
    [
        ("haproxi", "c.yaml:1:33: unknown value of format: 'haproxi' (did you mean 'haproxy'?)"),
        ("json", "c.yaml:1:33: format json needs a mapping of fields"),
        ("{haproxy: {timezone: Mars}}", "c.yaml:1:54: timezone is no time zone: 'Mars'"),
        ("{haproxy: {zone: UTC}}", "c.yaml:1:44: unknown key 'zone'"),
        ("{nginx: x, json: y}", "c.yaml:1:33: format must name one format"),
        ("{nginx: '$status'}", "c.yaml:1:41: nginx cannot be used: log_format has no $time"),
        ("{json: {fields: {client: a}}}", "c.yaml:1:49: fields do not say where ts is found"),
        ("{json: {fields: {ts: a}}}", "c.yaml:1:49: fields do not say where client is found"),
        ("{json: {fields: {ts: a, cliend: b}}}", "c.yaml:1:57: unknown key 'cliend'"),
        ("{json: {fields: {ts: a..b, client: c}}}", "c.yaml:1:54: ts has an empty key"),
        ("{json: {}}", "c.yaml:1:40: json needs fields"),
        (
            "{json: {fields: {client: a, ts: {path: b, time: epoch_h}}}}",
            "c.yaml:1:81: unknown value of time: 'epoch_h'",
        ),
        (
            "{json: {fields: {client: a, ts: b, duration: {path: b, unit: min}}}}",
            "c.yaml:1:94: unknown value of unit: 'min'",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(format_, expected):
    _, errors = configured(f"inputs: [{{file: /x.log, format: {format_}}}]")
    assert any(error.startswith(expected) for error in errors), errors


def test_trust_has_its_keys():
    config, errors = configured(
        'trusted_proxies: [192.0.2.0/24, "unix:"]\nproxy_header: forwarded\nconfirm_peers: true\n'
    )
    assert [] == errors
    context = decode_context(config, b"k")
    assert (True, "forwarded", True) == (
        context.trusted_unix,
        context.proxy_header,
        config.settings().confirm_peers,
    )
    assert ("192.0.2.0/24",) == config.settings().trusted_proxies


def test_the_hosts_zone_is_known_or_utc(monkeypatch, tmp_path):
    monkeypatch.setattr("excise.config.values.LOCAL_TIME", tmp_path / "none")
    assert UTC == local_zone()
