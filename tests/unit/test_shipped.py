"""What ships: every rule file reaches the wheel, and the template is a rule that works."""

import shutil
import tomllib
from pathlib import Path

from excise.decide.score import COUNTS
from excise.model.entity import Family, Kind
from excise.rulecheck import check_rules, find_rule_files, load_rules

CHECKOUT = Path(__file__).parents[2]
RULES = CHECKOUT / "rules"


def test_every_family_of_rules_is_packed_into_the_wheel():
    text = (CHECKOUT / "pyproject.toml").read_text()
    packed = tomllib.loads(text)["tool"]["setuptools"]["data-files"]
    families = {family.value for family in Family}

    assert {path.name for path in RULES.iterdir() if path.is_dir()} <= families
    assert {f"share/excise/rules/{family}" for family in families} < set(packed)
    assert all([f"rules/{f}/*.yaml"] == packed[f"share/excise/rules/{f}"] for f in families)


def test_the_template_is_a_sound_rule_once_it_has_its_place(tmp_path):
    target = tmp_path / "volume" / "my-behaviour.yaml"
    target.parent.mkdir()
    shutil.copy(RULES / "_template.yaml", target)

    assert () == check_rules([tmp_path]).problems


def test_the_template_is_not_loaded():
    assert RULES / "_template.yaml" not in find_rule_files([RULES])[0]


def test_what_says_little_of_a_group_says_too_little_together_too():
    """Each of two weak signs of one family adds points, and both are still no family's evidence."""
    book, _ = load_rules([RULES])
    weak = [r for r in book.rules if r.kind is Kind.CAMPAIGN and r.weight < COUNTS]
    sums = {f: sum(r.weight for r in weak if r.family is f) for f in {r.family for r in weak}}

    assert {Family.SHAPE, Family.TEMPLATE, Family.TIME} == set(sums)
    assert max(sums.values()) < COUNTS
