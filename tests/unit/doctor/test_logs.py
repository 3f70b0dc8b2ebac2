"""Which logs a first configuration names, and which it does not."""

import json

import pytest

from excise.config import Config
from excise.doctor.logs import candidates, logs_in
from excise.doctor.programs import CADDY
from excise.doctor.sample import Sampler
from excise.doctor.survey import Running, Survey

COMBINED = (
    '203.0.113.{0} - - [05/Jan/2026:00:00:{0:02} +0000] "POST /v1/x HTTP/1.1" 200 9 "-" "c"\n'
)
PLAIN = "".join(COMBINED.format(n) for n in range(20))


def records(first=0, **fields):
    lines = [{"ts": 1_767_571_200 + n, "client": f"203.0.113.{n}", "path": "/v1/x", **fields}
             for n in range(first, first + 20)]  # fmt: skip
    return "".join(json.dumps(line) + "\n" for line in lines)


@pytest.fixture
def found(tmp_path, host):
    """Write logs below a root of its own; return what is found there."""

    def find(logs, written=(), survey=None):
        for name, content in logs.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        seen = survey or host(logs=[str(tmp_path / name) for name in written])
        got = candidates(seen, Sampler(Config()), tmp_path)
        return [(c.item.name.removeprefix(f"{tmp_path}/"), c.format, c.why_not) for c in got]

    return find


def test_what_a_gateway_writes_is_found_wherever_it_lies(found):
    logs = {"srv/llm.log": records(), "srv/llm-error.log": "oh\n", "srv/debug.log": "hm\n" * 9}
    assert [("srv/llm.log", "record", "")] == found(logs, written=logs)


def test_the_usual_places_are_looked_at_and_rotated_logs_are_passed_over(found):
    logs = {
        "var/log/nginx/access.log": PLAIN,
        "var/log/nginx/access.log.1": PLAIN,
        "var/log/nginx/error.log": "oh\n",
    }
    assert [("var/log/nginx/access.log", "nginx", "")] == found(logs)


def test_of_two_logs_of_the_same_requests_the_one_that_says_more_is_taken(found):
    logs = {
        "var/log/nginx/access.log": PLAIN,
        "var/log/nginx/excise.log": records(output_tokens=9, account="a"),
    }
    (best, worse) = found(logs)
    assert ("var/log/nginx/excise.log", "record", "") == best
    assert ("var/log/nginx/access.log", True) == (
        worse[0],
        "tells of the same requests" in worse[2],
    )


def test_the_same_requests_told_by_gateway_and_tap_are_named_once(found):
    logs = {
        "var/log/nginx/excise.log": records(output_tokens=9),
        "var/log/excise-tap/records.log": records(output_tokens=9, account="a", model="m"),
    }
    assert ["", True] == [why if not why else "count twice" in why for *_, why in found(logs)]


def test_other_requests_of_the_same_program_are_left_to_the_operator(found):
    logs = {
        "var/log/nginx/access.log": PLAIN,
        "var/log/nginx/excise.log": records(first=100, output_tokens=9),
    }
    assert "are they other requests?" in found(logs)[1][2]


def test_an_empty_log_counts_by_its_name(found):
    logs = {"var/log/nginx/excise.log": "", "var/log/nginx/access.log": ""}
    assert [("var/log/nginx/excise.log", "record", "")] == found(logs)


def test_paths_of_a_container_are_not_taken_for_the_hosts(found, tmp_path):
    survey = Survey(running=(Running(CADDY, logs=(f"{tmp_path}/a.log",), elsewhere=True),))
    assert [] == found({"a.log": records()}, survey=survey)


def test_error_logs_are_no_logs_of_requests():
    assert ["/a/access.log"] == logs_in(["/a/access.log", "/a/error.log", "/a/access.log.2.gz"])
