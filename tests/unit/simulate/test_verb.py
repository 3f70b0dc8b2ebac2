"""`excise simulate` from the command line: write a log, replay it, judge."""

import json

import pytest
import typer
from typer.testing import CliRunner

from excise.cli import replay, simulate
from excise.errors import ExciseError, InvalidError

from .conftest import RULES


@pytest.fixture
def excise():
    app = typer.Typer(pretty_exceptions_enable=False)
    simulate.register(app)
    replay.register(app)
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


def test_a_log_is_written_replayed_and_judged(excise, tmp_path):
    made = excise("simulate", "--requests", 2_000, "--add", "bulk,rag", "--out", tmp_path)
    assert 0 == made.exit_code, made.output
    decisions = tmp_path / "decisions.ndjson"
    done = excise("replay", tmp_path / "log.ndjson", "--rules", RULES, "--decisions", decisions)
    assert 0 == done.exit_code, done.output

    text = excise("simulate", "--score", tmp_path, "--decisions", decisions).output
    report = json.loads(
        excise("simulate", "--score", tmp_path, "--decisions", decisions, "--json").output
    )

    assert "Leakage" in text
    assert "rag" in text
    assert ["bulk"] == [c["case"] for c in report["campaigns"]]
    assert len((tmp_path / "log.ndjson").read_text().splitlines()) == sum(
        line["requests"] for line in report["campaigns"] + report["honest"]
    )


def test_cases_are_added_by_one_list_or_several(excise, tmp_path):
    given = ("simulate", "--requests", 500, "--add", "bulk,logits", "--add", "rag")
    assert 0 == excise(*given, "--out", tmp_path).exit_code
    rows = (tmp_path / "truth.csv").read_text().splitlines()
    assert all(any(f",{case}," in row for row in rows) for case in ("bulk", "logits", "rag"))


def test_what_there_is_is_listed_with_its_parameters(excise):
    text = excise("simulate", "--list").output
    assert "hydra" in text
    assert "share=0.15, per_day=26" in text


def test_a_parameter_is_set_by_name(excise, tmp_path):
    excise("simulate", "--requests", 500, "--add", "logits", "--set", "logits.requests=7",
           "--out", tmp_path)  # fmt: skip
    rows = (tmp_path / "truth.csv").read_text().splitlines()
    assert 7 == sum(",logits," in row for row in rows)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--score", "."),
        ("--out", "x", "--score", ".", "--decisions", "y"),
        ("--out", "x", "--set", "hydra"),
    ],
)
def test_wrong_usage_is_told_and_writes_nothing(excise, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert 2 == excise("simulate", *arguments).exit_code
    assert [] == list(tmp_path.iterdir())


def test_an_unknown_campaign_is_told(excise, tmp_path):
    done = excise("simulate", "--add", "octopus", "--out", tmp_path)
    assert isinstance(done.exception, InvalidError)


def test_what_is_no_truth_is_told(excise, tmp_path):
    (tmp_path / "truth.csv").write_text("a,b\n1,2\n")
    (tmp_path / "out.ndjson").write_text("")
    done = excise("simulate", "--score", tmp_path, "--decisions", tmp_path / "out.ndjson")
    assert isinstance(done.exception, ExciseError)
    assert "is not what it should be" in str(done.exception)
