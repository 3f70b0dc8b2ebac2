"""What a sample shows, and what follows from what it does not."""

from collections import Counter
from pathlib import Path

import pytest

from excise.doctor.check import State
from excise.doctor.programs import NGINX
from excise.doctor.seen import check_decoded, check_sample
from excise.rulecheck import load_rules

RULES = load_rules([Path(__file__).parents[3] / "rules"])[0].rules
TOLD = {
    "account": "a",
    "input_tokens": 1,
    "output_tokens": 1,
    "bytes_out": 1,
    "status": 200,
    "tls": "TLSv1.3",
    "user_agent": "c/1",
    "prompt": ("00",),
    "max_tokens": 100,
}


@pytest.mark.parametrize(
    ("records", "rejects", "state"),
    [
        (10, {}, State.OK),
        (10, {"not-a-request": 90}, State.OK),
        (95, {"shape": 5}, State.OK),
        (80, {"shape": 20}, State.WARN),
        (0, {"unknown-format": 20}, State.FAIL),
        (0, {"not-a-request": 20}, State.OK),
        (0, {}, State.OK),
    ],
)
def test_a_log_whose_lines_are_no_records_is_amiss(record, sample, records, rejects, state):
    lines = records + sum(rejects.values())
    one = sample([record()] * records, rejects=Counter(rejects), lines=lines)
    assert state is check_decoded(one).state


def test_it_is_said_what_was_decoded_as_what(record, sample):
    one = sample([record()] * 9, form="nginx", configured="auto", lines=10,
                 rejects=Counter(shape=1), files=2)  # fmt: skip
    expected = (
        "/var/log/nginx/excise.log: format nginx (recognised), 9 requests of the last 10 lines"
        " in 2 files; rejected: shape 1"
    )
    assert expected == check_decoded(one).text


def test_shares_are_told_and_what_is_never_there(record, sample):
    records = [record(**TOLD)] * 199 + [record(**TOLD | {"account": ""})]
    _, fields = check_sample(sample(records), RULES, [])
    assert "of 200 answered requests: client 100%, account 99%, input_tokens 100%" in fields.text
    never = "never model, duration, tcp_rtt, tls_handshake, ja4, simhash, request_id"
    assert fields.text.endswith(never)


def test_without_output_tokens_it_names_the_rules_and_the_snippet(record, sample):
    one = sample([record(**TOLD | {"output_tokens": -1})] * 20, form="nginx")
    (blind,) = (check for check in check_sample(one, RULES, [NGINX]) if "blind" == check.name)
    assert State.WARN is blind.state
    assert "no output tokens: " in blind.text
    assert blind.text.endswith("do not run; no rule runs on bytes instead")
    expected = (
        "see docs/gateways-nginx.md; as in gateways/nginx/excise-log.conf and excise-location.conf"
    )
    assert expected == blind.advice


def test_a_log_of_nobodys_is_sent_to_the_page_of_formats(record, sample):
    one = sample([record(**TOLD | {"tls": ""})] * 20, name="/srv/x.log")
    (blind,) = (check for check in check_sample(one, RULES, []) if "blind" == check.name)
    assert ("/srv/x.log: no TLS version: network.plaintext does not run", True) == (
        blind.text, "docs/inputs.md" in blind.advice
    )  # fmt: skip


def test_no_line_address_or_account_is_ever_told(record, sample):
    records = [
        record(n, account="acct-secret", user_agent="agent-x", path="/v1/y") for n in range(9)
    ]
    told = " ".join(f"{c.text} {c.advice}" for c in check_sample(sample(records), RULES, []))
    assert [] == [w for w in ("203.0.113", "acct-secret", "agent-x", "/v1/y") if w in told]


@pytest.mark.parametrize(
    ("form", "said"),
    [("traefik", "in anybody's name"), ("envoy", "is not seen"), ("envoy-json", None)],
)
def test_a_format_in_which_clients_write_is_warned_of(record, sample, form, said):
    one = sample([record(**TOLD)] * 20, form=form)
    told = [check for check in check_sample(one, RULES, []) if "format" == check.name]
    assert [State.WARN] * bool(said) == [check.state for check in told]
    assert [True] * bool(said) == [said in check.text for check in told]
