"""What ships: every rule file reaches the wheel, and the template is a rule that works."""

import shutil
import tomllib
from pathlib import Path

from excise.model.entity import Family
from excise.rulecheck import check_rules, find_rule_files

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
