"""Rules from plain data: typed, or refused with every problem and its place."""

import pytest

from excise.model.entity import Family, Kind
from excise.rules.parse import collect, parse_rule
from excise.rules.schema import Comparison, Maturity, Population, Relative
from excise.yamlread import read_yaml, read_yaml_file


def problems(text):
    return [str(error) for error in parse_rule(read_yaml(text, "volume/x.yaml"))[1]]


def test_a_sound_rule_is_read_as_it_is_written(write_rule):
    rule, errors = parse_rule(read_yaml_file(write_rule()))

    assert errors == []
    assert "volume.output-burst" == rule.id
    assert (Family.VOLUME, Kind.CLIENT, Maturity.STABLE) == (rule.family, rule.kind, rule.maturity)
    assert (30.0, 1800.0) == (rule.weight, rule.half_life_s)
    assert Comparison("output_tokens_1m", above=Population(0.999, 20_000.0, 4.0)) == rule.when[0]
    assert Comparison("requests_1h", above=20.0) == rule.when[1]
    assert ("203.0.113.7/32", 60.0) == (rule.tests[0].fires, rule.tests[0].by_s)
    assert (None, None) == (rule.tests[1].fires, rule.tests[1].by_s)
    assert (0.1, 300) == (rule.tests[0].input[0].every_s, rule.tests[0].input[0].count)


def test_a_threshold_may_be_another_feature(write_rule):
    threshold = {"feature": "input_tokens_24h", "times": 4, "floor": 10}
    written = {"feature": "output_tokens_24h", "above": threshold}
    rule, _ = parse_rule(read_yaml_file(write_rule(("when", 0), written)))

    expected = Comparison("output_tokens_24h", above=Relative("input_tokens_24h", 4.0, 10.0))
    assert expected == rule.when[0]


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("abuot",), "x", "unknown key 'abuot' (did you mean 'about'?)"),
        (("about",), None, "key 'about' is missing"),
        (("runbook",), None, "key 'runbook' is missing"),
        (("hits_also",), " ", "hits_also must not be empty"),
        (("about",), 5, "about must be text, found 5 (put it in quotes)"),
        (("family",), "volumes", "unknown value of family: 'volumes' (did you mean 'volume'?)"),
        (("kind",), "ip", "unknown value of kind: 'ip' (known: client, subnet, account, use"),
        (("maturity",), "stabel", "unknown value of maturity: 'stabel' (did you mean 'stable'?)"),
        (("weight",), 0, "weight is out of range: 0 (from 1 to 100)"),
        (("weight",), 101, "weight is out of range: 101 (from 1 to 100)"),
        (("weight",), "heavy", "weight must be a number, found 'heavy'"),
        (("half_life",), 30, "half_life must be a duration, found 30 (write it with its unit"),
        (("half_life",), "30 minutes", "half_life is wrong: '30 minutes' is not a duration"),
        (("when",), {"feature": "x"}, "when must be a list, found a mapping"),
        (
            ("when", 0, "feature"),
            "output_tokens_1n",
            "unknown feature 'output_tokens_1n' (did you mean 'output_tokens_1m'?)",
        ),
        (("when", 0, "above"), None, "when takes exactly one of above and below, found neither"),
        (("when", 0, "below"), 3, "when takes exactly one of above and below, found both"),
        (("when", 0, "above", "floor"), None, "key 'floor' is missing"),
        (("when", 0, "above", "quantil"), 1, "unknown key 'quantil' (did you mean 'quantile'?)"),
        (("when", 0, "above"), {"times": 2}, "above must be a number, or have the key quantile"),
        (("tests", 0, "input", 0, "every"), "1 x", "every is wrong: '1 x' is not a duration"),
        (("tests", 0, "input", 0, "count"), 0, "count is out of range: 0 (from 1 to 500000)"),
        (("tests", 0, "input", 0, "record"), {"ip": "192.0.2.1"}, "needs the field client"),
        (
            ("tests", 0, "input", 0, "record", "output_token"),
            5,
            "unknown record field 'output_token' (did you mean 'output_tokens'?)",
        ),
        (
            ("tests", 0, "input", 0, "record", "output_tokens"),
            "many",
            "output_tokens would be rejected as a log line (type:output_tokens)",
        ),
        (
            ("tests", 0, "input", 0, "record", "client"),
            "203.0.113.300",
            "client would be rejected as a log line (address:client)",
        ),
        (
            ("tests", 0, "input", 0, "record", "account"),
            "a{j}",
            "account holds {j}, no number to fill in (a text may hold {i} and {i%N})",
        ),
        (("tests", 0, "baseline"), {"output": 5}, "unknown key 'output'"),
    ],
)
def test_what_is_wrong_is_said_with_what_is_allowed(write_rule, path, value, expected):
    rule, errors = parse_rule(read_yaml_file(write_rule(path, value)))

    assert rule is None
    assert any(expected in str(error) for error in errors), [str(e) for e in errors]
    assert all(error.mark is not None for error in errors)


def test_all_problems_of_a_file_are_found_at_once():
    text = "id: a\nfamily: colour\nweight: much\nwhen: [{feature: nope, above: 1}]\n"
    found = problems(text)

    assert any(p.startswith("volume/x.yaml:2:9: unknown value of family") for p in found)
    assert any(p.startswith("volume/x.yaml:3:9: weight must be a number") for p in found)
    assert any(p.startswith("volume/x.yaml:4:18: unknown feature 'nope'") for p in found)
    assert any("key 'tests' is missing" in p for p in found)


@pytest.mark.parametrize("text", ["- a\n", "just text\n", "5\n"])
def test_a_file_that_is_no_mapping_is_refused_once(text):
    assert 1 == len(problems(text))


def test_an_id_used_twice_is_an_error_that_names_both_files(write_rule):
    documents = [
        read_yaml_file(write_rule(file=f"{place}/volume/output-burst.yaml")) for place in "ab"
    ]
    rules = [(parse_rule(document)[0], document.root()) for document in documents]
    book, errors = collect(rules)

    assert ["volume.output-burst"] == [rule.id for rule in book.rules]
    assert 1 == len(errors)
    assert f"{documents[1].file}:1:5: rule id 'volume.output-burst' is used twice" in str(errors[0])
    assert f"first in {documents[0].file}:1:5" in errors[0].hint
