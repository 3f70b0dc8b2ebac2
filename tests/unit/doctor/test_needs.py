"""Which rules cannot fire without a field: told by the features that the engine has."""

from pathlib import Path

import pytest

from excise.doctor.needs import Gap, by_bytes, gaps, needs
from excise.engine import Engine
from excise.model.settings import Capacity, Settings
from excise.model.step import Observed
from excise.rulecheck import load_rules
from excise.rules.expand import documented_asns, expand
from excise.rules.schema import Rulebook

SHIPPED = Path(__file__).parents[3] / "rules"
RULES = load_rules([SHIPPED])[0].rules
BLANK = {
    "input_tokens": -1,
    "output_tokens": -1,
    "bytes_out": -1,
    "status": -1,
    "account": "",
    "prompt": (),
    "tls": "",
}
PARAMETERS = dict.fromkeys(("max_tokens", "n", "logprobs", "logit_bias"), -1)
#: by what the doctor looks for: what a record without it has
WITHOUT = {name: {name: value} for name, value in BLANK.items()} | {"parameters": PARAMETERS}


def fires(rule, test, **changes):
    import msgspec

    capacity = Capacity(512, 512, 256, 256, 64, 64, 1024)
    engine = Engine(Settings(capacity=capacity, asns=documented_asns()), Rulebook((rule,)))
    if test.substitution is not None:
        engine.set_substitution(test.substitution)
    records = [msgspec.structs.replace(record, **changes) for record in expand(test)]
    engine.step([Observed(records)])
    return any(view.hits for view in engine.rules())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_shipped_rule_is_silent_without_what_it_is_said_to_need(rule):
    test = next(test for test in rule.tests if test.fires)
    silent = {name for name in needs(rule) if not fires(rule, test, **WITHOUT[name])}
    assert needs(rule) == silent


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_no_shipped_rule_needs_a_field_that_is_not_told(rule):
    test = next(test for test in rule.tests if test.fires and not test.baseline)
    others = [name for name in WITHOUT if name not in needs(rule)]
    stopped = {name for name in others if not fires(rule, test, **WITHOUT[name])}
    assert set() == stopped


def test_gaps_name_the_rules_and_what_most_need_comes_first():
    filled = dict.fromkeys(WITHOUT, 1.0)
    assert [] == gaps(RULES, filled)
    found = gaps(RULES, filled | {"tls": 0.0, "output_tokens": 0.0})
    assert ["output_tokens", "tls"] == [gap.field for gap in found]
    assert Gap("tls", ("network.plaintext",)) == found[1]


def test_a_ratio_without_input_tokens_is_told_as_too_eager():
    filled = dict.fromkeys(WITHOUT, 1.0) | {"input_tokens": 0.0}
    (gap,) = [gap for gap in gaps(RULES, filled) if gap.eager]
    assert ("input_tokens", True) == (gap.field, "shape.long-answers" in gap.rules)
    without_either = filled | {"output_tokens": 0.0}
    assert [] == [gap for gap in gaps(RULES, without_either) if gap.eager]


def test_rules_that_go_by_bytes_are_told_apart():
    assert () == by_bytes(RULES)
