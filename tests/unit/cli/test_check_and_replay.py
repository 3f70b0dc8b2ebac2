"""The verbs that need no daemon: what they print and how they end."""

import json
import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from excise.cli import check, replay
from excise.errors import ExciseError

CHECKOUT = Path(__file__).parents[3]


@pytest.fixture
def excise():
    """Return a function that runs the command with arguments."""
    app = typer.Typer(pretty_exceptions_enable=False)
    check.register(app)
    replay.register(app)
    runner = CliRunner()
    return lambda *arguments: runner.invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def rules(tmp_path):
    """Return a directory with one sound rule."""
    target = tmp_path / "rules" / "volume" / "my-behaviour.yaml"
    target.parent.mkdir(parents=True)
    shutil.copy(CHECKOUT / "rules" / "_template.yaml", target)
    return tmp_path / "rules"


@pytest.fixture
def config(tmp_path, rules):
    """Return a configuration that names these rules."""
    path = tmp_path / "excise.yaml"
    path.write_text(f"rules: [{rules}]\n")
    return path


@pytest.fixture
def log(tmp_path):
    """Return a log of one harvester, three hundred requests in ten minutes."""
    path = tmp_path / "log.ndjson"
    record = {"client": "203.0.113.7", "input_tokens": 60, "output_tokens": 4000}
    lines = [json.dumps({"ts": 1767571200 + 2 * i, **record}) for i in range(300)]
    path.write_text("\n".join([*lines, "torn"]) + "\n")
    return path


def test_check_counts_what_is_good(excise, config):
    result = excise("check", "--config", config)

    assert (0, "1 rule, 2 tests, all good\n") == (result.exit_code, result.output)


def test_check_may_leave_out_the_rules_tests(excise, config):
    result = excise("check", "--no-tests", "--config", config)

    assert (0, "1 rule, 0 tests, all good\n") == (result.exit_code, result.output)


def test_check_prints_a_line_a_problem_like_a_compiler_and_ends_with_5(excise, config, rules):
    config.write_text(f"rules: [{rules}]\nposture: block\n")
    rule = rules / "volume" / "my-behaviour.yaml"
    rule.write_text(rule.read_text().replace("\nabout:", "\nabuot:"))
    result = excise("check", "--config", config)
    problems = result.output.splitlines()

    assert 5 == result.exit_code
    assert problems[0].startswith(f"{config}:2:10: error: unknown value of posture: 'block'")
    assert any(line.startswith(f"{rule}:4:1: error: unknown key 'abuot'") for line in problems)
    assert "0 rules, 0 tests, 2 errors" == problems[-1]


def test_check_of_paths_leaves_the_configuration_alone(excise, rules):
    result = excise("check", rules / "volume" / "my-behaviour.yaml")

    assert (0, "1 rule, 2 tests, all good\n") == (result.exit_code, result.output)


def test_check_of_a_path_that_is_not_there_is_no_success(excise, tmp_path):
    result = excise("check", tmp_path / "none")

    assert 5 == result.exit_code
    assert "none does not exist" in result.output


def test_check_of_a_configuration_that_is_not_there_says_so_before_any_rule_is_tested(
    excise, tmp_path
):
    result = excise("check", "--config", tmp_path / "none.yaml")

    assert 5 == result.exit_code
    assert "none.yaml:1:1: error: cannot be read" in result.output
    assert " 0 tests, 1 error\n" in result.output
    assert "note: the rules' own tests wait until the configuration is sound\n" in result.output


def test_warnings_do_not_fail_a_check(excise, rules):
    rule = rules / "volume" / "my-behaviour.yaml"
    rule.write_text(rule.read_text().replace("blind_spots: What it cannot see.", ""))
    result = excise("check", rules)

    assert 0 == result.exit_code
    assert result.output.endswith("1 rule, 2 tests, all good, 1 warning\n")


def test_check_speaks_json(excise, rules):
    rule = rules / "volume" / "my-behaviour.yaml"
    rule.write_text(rule.read_text().replace("weight: 20 ", "weight: 200 "))
    problem, total = map(json.loads, excise("check", rules, "--json").output.splitlines())

    assert {
        "check": "schema",
        "severity": "error",
        "file": str(rule),
        "line": 8,
        "column": 9,
        "message": "weight is out of range: 200",
        "hint": "from 1 to 100",
    } == problem
    assert {"rules": 0, "tests": 0, "errors": 1, "warnings": 0} == total


def test_replay_reads_to_the_end_and_says_what_it_found(excise, config, log):
    result = excise("replay", log, "--config", config)

    assert 0 == result.exit_code
    assert result.output.startswith("301 lines read in ")
    assert "1 line rejected: syntax 1" in result.output
    assert "300 requests, 1,200,000 output tokens" in result.output
    assert "volume.my-behaviour" in result.output


def test_replay_gives_the_same_bytes_on_every_run(excise, config, log, tmp_path):
    outs = [tmp_path / name for name in ("a", "b")]
    for out in outs:
        excise("replay", log, "--config", config, "--decisions", out)
    lines = [json.loads(line) for line in outs[0].read_text().splitlines()]

    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert [("add", "203.0.113.7/32", "observe")] == [
        (line["op"], line["target"], line["action"]) for line in lines[:1]
    ]


def test_decisions_on_standard_output_leave_it_to_them(excise, config, log):
    result = excise("replay", log, "--config", config, "--decisions", "-")

    assert all("op" in json.loads(line) for line in result.stdout.splitlines())
    assert "lines read in" in result.stderr


def test_replay_speaks_json(excise, config, log):
    summary = json.loads(excise("replay", log, "--config", config, "--json").output)

    assert {"records": 300, "output_tokens": 1_200_000} == summary["traffic"]
    assert {"syntax": 1} == summary["rejects"]


def test_rules_named_on_the_command_line_replace_the_configured_ones(excise, log, rules, tmp_path):
    config = tmp_path / "other.yaml"
    config.write_text("rules: [/nonexistent]\n")
    result = excise("replay", log, "--config", config, "--rules", rules)

    assert 0 == result.exit_code


def test_replay_with_a_broken_rule_says_all_and_ends_with_5(excise, config, log, rules):
    rule = rules / "volume" / "my-behaviour.yaml"
    text = rule.read_text().replace("\nabout:", "\nabuot:").replace("\nrunbook:", "\nx:")
    rule.write_text(text)
    result = excise("replay", log, "--config", config)

    assert 5 == result.exit_code
    assert f"{rule}:4:1: unknown key 'abuot' (did you mean 'about'?)" in result.stderr
    assert "key 'runbook' is missing" in result.stderr
    assert "key 'about' is missing" not in result.stderr


def test_a_format_that_does_not_exist_is_a_usage_error(excise, config, log):
    result = excise("replay", log, "--config", config, "--format", "jsonl")

    assert 2 == result.exit_code
    assert "unknown format 'jsonl'; known: auto, record" in result.stderr


def test_a_report_is_written_beside_the_summary(excise, config, log, tmp_path):
    result = excise("replay", log, "--config", config, "--report", tmp_path / "out.html")

    assert 0 == result.exit_code
    assert "300 requests" in result.stdout
    html = (tmp_path / "out.html").read_text()
    assert html.startswith("<!DOCTYPE html>")
    assert "volume.my-behaviour" in html


def test_a_report_that_cannot_be_written_is_told_before_anything_is_read(excise, config, tmp_path):
    result = excise("replay", tmp_path / "no.log", "--config", config, "--report", tmp_path)

    assert isinstance(result.exception, ExciseError)
    assert f"{tmp_path} cannot be written" in str(result.exception)


@pytest.mark.parametrize("named", ["auto", "nginx"])
def test_a_format_that_the_configuration_describes_is_replayed(excise, config, tmp_path, named):
    with config.open("a") as file:
        file.write("inputs: [{file: /x.log, format: {nginx: '$msec|$remote_addr|$status'}}]\n")
    log = tmp_path / "odd.log"
    log.write_text("".join(f"{1767571200 + i}.000|192.0.2.7|200\n" for i in range(5)))
    result = excise("replay", log, "--config", config, "--format", named, "--json")

    assert (0, 5) == (result.exit_code, json.loads(result.stdout)["traffic"]["records"])


def test_a_load_balancer_taken_for_clients_is_said_and_not_enforced(excise, config, tmp_path):
    log = tmp_path / "lb.log"
    line = '203.0.113.{} - - [05/Jan/2026:00:{:02}:{:02} +0000] "GET / HTTP/1.1" 200 9 "-" "a" "{}"'
    lines = [line.format(i % 3, i // 60 % 60, i % 60, f"192.0.2.{i % 250}") for i in range(1800)]
    log.write_text("\n".join(lines) + "\n")
    result = excise("replay", log, "--config", config)

    assert 0 == result.exit_code
    assert "peers-doubted" in result.stdout
    assert "3 addresses carry 100% of requests" in result.stdout


def test_a_replay_that_sees_no_request_says_where_to_look(excise, config, tmp_path):
    log = tmp_path / "other.log"
    log.write_text("a line of another program\n" * 3)

    result = excise("replay", log, "--config", config, "--format", "haproxy")

    assert 0 == result.exit_code
    assert "No line is a request: is the format right? docs/inputs.md" in result.output


def test_a_replay_without_tokens_says_that_rules_see_little(excise, config, log, tmp_path):
    bare = tmp_path / "bare.ndjson"
    bare.write_text(log.read_text().replace('"output_tokens": 4000', '"bytes_out": 4000'))

    told = "No output tokens are logged: most rules see nothing."
    assert told in excise("replay", bare, "--config", config).output
    assert told not in excise("replay", log, "--config", config).output
