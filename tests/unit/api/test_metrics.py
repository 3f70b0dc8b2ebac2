"""The metrics: format, content, and labels that are bounded."""

import re

import pytest

from excise.api.exposition import Metric, by_label, one, write
from excise.api.metrics import gather
from excise.api.tally import Tally
from excise.model.decision import Op


def test_the_page_is_prometheus_text(served):
    status, headers, text = served.ask("GET", "/metrics")
    assert (200, "text/plain; version=0.0.4; charset=utf-8") == (status, headers["Content-Type"])
    sample = re.compile(r'[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? -?[0-9.e+-]+')
    for line in text.splitlines():
        assert line.startswith("# ") or sample.fullmatch(line), line


@pytest.mark.parametrize(
    "line",
    [
        "excise_records_total 12345",
        'excise_input_rejects_total{input="/var/log/nginx/excise.log",reason="no-ts"} 4',
        'excise_input_lag_bytes{input="/var/log/nginx/excise.log"} 0',
        'excise_decisions_total{op="lift",plane="network",action="throttle"} 1',
        'excise_active_decisions{plane="account",action="deny"} 1',
        'excise_enforcer_in_sync{backend="nftables"} 1',
        'excise_dropped_packets_total{measure="drop"} 40',
        'excise_dropped_bytes_total{measure="egress"} 10240',
        'excise_throttled_bytes_total{tier="crawl",measure="egress"} 10240',
        'excise_enforcer_foreign_changes_total{backend="nftables"} 1',
        'excise_enforcer_audit_lost_total{backend="nftables"} 0',
        'excise_enforcer_counted_seconds{backend="nftables"} 1000',
        'excise_table_rows{kind="client"} 10',
        'excise_table_evictions_total{kind="account"} 7',
        'excise_rule_hits_total{rule="volume.flood"} 17',
        'excise_reloads_total{result="applied"} 1',
        "excise_last_reload_success 1",
        "excise_last_reload_seconds 1001",
        'excise_posture{posture="throttle"} 1',
        "excise_ready 1",
    ],
)
def test_what_people_watch_is_there(served, line):
    served.ask("DELETE", "/v1/decisions/d1")
    served.ask("POST", "/v1/reload")
    assert line in served.ask("GET", "/metrics")[2].splitlines()


def test_no_label_is_an_address_or_an_account(served):
    text = served.ask("GET", "/metrics")[2]
    assert "203.0.113" not in text
    assert "acct-9" not in text


def test_every_family_appears_once(fake_control):
    names = [metric.name for metric in gather(fake_control())]
    assert len(names) == len(set(names))


def test_values_and_labels_are_written_as_the_format_wants():
    page = write(
        [
            one("a_total", "About.", 2.0),
            by_label("b", "About.", "path", {'C:\\x"\n': 0.25}),
            Metric("c", "Nothing yet.", ()),
        ]
    )
    assert page == (
        "# HELP a_total About.\n# TYPE a_total counter\na_total 2\n"
        '# HELP b About.\n# TYPE b gauge\nb{path="C:\\\\x\\"\\n"} 0.25\n'
        "# HELP c Nothing yet.\n# TYPE c gauge\n"
    )


@pytest.mark.parametrize(
    ("value", "text"), [(float("inf"), "+Inf"), (float("-inf"), "-Inf"), (float("nan"), "NaN")]
)
def test_what_is_no_number_has_its_own_spelling(value, text):
    assert f"x {text}" == write([one("x", "About.", value)]).splitlines()[-1]


def test_a_tally_counts_effects_and_reloads(fake_control):
    tally = Tally()
    tally.count(effect for _, effect in fake_control().kept)
    tally.reloaded(applied=False, ts=7.0)
    assert {(op, "network", "throttle"): 1 for op in (Op.ADD, Op.LIFT)} == dict(tally.decisions)
    assert ({"volume.flood": 1}, {"governor-tripped": 1}) == (
        dict(tally.findings),
        dict(tally.alarms),
    )
    assert (0, 1, 7.0, False) == (
        tally.reloads_applied,
        tally.reloads_refused,
        tally.last_reload_ts,
        tally.last_reload_applied,
    )
