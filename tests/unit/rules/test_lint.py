"""Checks of rules that can be read: each finds what it is for, and a sound rule passes all."""

import pytest

from excise.rules.lint import CHECKS, Severity, lint
from excise.rules.parse import parse_rule
from excise.yamlread import read_yaml_file

NEAR_MISS = {
    "name": "quiet",
    "input": [{"record": {"client": "192.0.2.1"}}],
}
LONE = [{"feature": "requests_1h", "above": 20}]
ITSELF = {"feature": "requests_1h", "above": {"feature": "requests_1h"}}
NEVER = [{"feature": "requests_1h", "above": 20}, {"feature": "requests_1h", "below": 10}]

CASES = [
    (("id",), "shape.output-burst", "id-form", "does not fit family volume"),
    (("id",), "volume.Output_Burst", "id-form", "lower case"),
    (("id",), "volume.other", "file-path", "move to volume/other.yaml"),
    (("when",), [], "has-conditions", "could never fire"),
    (("when", 1, "feature"), "clients", "kind-has-feature", "does not exist for kind client"),
    (("when", 0, "above", "quantile"), 1, "quantile", "quantile 1 is out of range"),
    (("when", 0, "above", "quantile"), 0, "quantile", "quantile 0 is out of range"),
    (("when", 0, "above", "floor"), 0, "floor", "floor must be above 0"),
    (("when", 0, "above", "times"), 0, "times", "times must be above 0"),
    (("when", 0), ITSELF, "not-itself", "compared with itself"),
    (("when",), NEVER, "can-be-true", "cannot be above 20 and below 10"),
    (("half_life",), "10s", "half-life", "from 1m to 30d"),
    (("when",), LONE, "lone-volume", "one comparison on volume alone"),
    (("exceptions",), [{"about": "x"}], "exception-says-where", "excepts nothing"),
    (("exceptions",), [{"about": "x", "names": ["me"]}], "exception-names", "no address or CIDR"),
    (("references",), ["http://example.org"], "references", "no https:// address"),
    (("blind_spots",), None, "blind-spots", "names no blind_spots"),
    (("tests",), [NEAR_MISS], "positive-test", "no test expects the rule to fire"),
    (("tests", 1), None, "near-miss-test", "no test expects the rule to stay quiet"),
    (("tests",), [NEAR_MISS, NEAR_MISS], "test-names", "two tests are called 'quiet'"),
    (("tests", 0, "input"), [], "test-input", "has 0 records"),
    (("tests", 1, "by"), "5s", "test-by", "by has no effect"),
    (("tests", 0, "fires"), "203.0.113.7", "test-fires", "write 203.0.113.7/32"),
    (("tests", 0, "baseline"), {"requests_1h": 5}, "test-baseline", "has no effect"),
]


def problems_of(path):
    document = read_yaml_file(path)
    rule, errors = parse_rule(document)
    assert errors == []
    return lint(rule, document.root())


def test_a_sound_rule_passes_every_check(write_rule):
    assert [] == problems_of(write_rule())


@pytest.mark.parametrize(("path", "value", "check", "text"), CASES)
def test_a_check_finds_what_it_is_for(write_rule, path, value, check, text):
    found = [p for p in problems_of(write_rule(path, value)) if p.check == check]

    assert len(found) >= 1
    assert text in str(found[0])
    assert found[0].mark is not None


def test_an_experimental_rule_of_great_weight_is_warned_about(write_rule):
    path = write_rule(("maturity",), "experimental")
    path.write_text(path.read_text().replace("weight: 30", "weight: 60"))

    assert ["experimental-weight"] == [p.check for p in problems_of(path)]


def test_an_experimental_rule_that_would_refuse_is_warned_about(write_rule):
    path = write_rule(("maturity",), "experimental")
    path.write_text(path.read_text() + "refuse: true\n")

    assert ["experimental-refuse"] == [p.check for p in problems_of(path)]


def test_every_check_has_a_case():
    tried = {check for _, _, check, _ in CASES} | {"experimental-weight", "experimental-refuse"}

    assert {name for name, _, _ in CHECKS} == tried


def test_taste_warns_and_soundness_is_an_error():
    warnings = {name for name, severity, _ in CHECKS if severity is Severity.WARNING}

    assert {
        "experimental-weight",
        "experimental-refuse",
        "lone-volume",
        "blind-spots",
        "test-baseline",
    } == warnings


def test_a_problem_reads_like_a_compiler_s(write_rule):
    path = write_rule(("when", 0, "above", "quantile"), 1)

    assert str(problems_of(path)[0]) == (
        f"{path}:11:15: error: quantile 1 is out of range (above 0 and below 1) [quantile]"
    )
