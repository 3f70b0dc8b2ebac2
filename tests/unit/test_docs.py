"""The guides to rules, configuration and replay say what the code does."""

import re
from pathlib import Path

import msgspec
import pytest

from excise.cli.replay import replay
from excise.config import Config
from excise.config.inputs import DATAGRAM_KEYS, INPUT_KEYS, JOURNAL_KEYS, SYSLOG_KEYS
from excise.config.parse import (
    API_KEYS,
    GUARD_KEYS,
    KEYS,
    LOG_KEYS,
    NFT_KEYS,
    TIER_KEYS,
    TRIALS_KEYS,
)
from excise.features.table import FEATURES
from excise.model.duration import format_duration
from excise.model.entity import TABLED, Kind
from excise.model.settings import Capacity, Governor, Policy
from excise.replay import Summary
from excise.rules.lint import CHECKS
from excise.rules.parse import BURST_KEYS, RULE_KEYS, TEST_KEYS

DOCS = Path(__file__).parents[2] / "docs"
STRUCTS = {"policy": Policy, "governor": Governor, "capacity": Capacity}


def section(name, title):
    """Return the text under a heading, up to the next one."""
    text = (DOCS / name).read_text()
    pattern = rf"^##+ `?{title}`?$(.*?)(?=^##|\Z)"
    found = re.search(pattern, text, re.MULTILINE | re.DOTALL)
    assert found, f"{name} has no section {title}"
    return found[1]


def rows(name, title):
    """Return the tables under a heading: first cell, without its marks, to the others."""
    found = {}
    for line in section(name, title).splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| `"):
            found[cells[0].strip("| ").strip("`")] = [cell.strip("| ") for cell in cells[1:]]
    return found


def kinds(feature):
    if feature.kinds.issuperset(TABLED):
        return "all, campaign" if Kind.CAMPAIGN in feature.kinds else "all"
    return ", ".join(k for k in Kind if k in feature.kinds)


def test_every_feature_is_explained_as_the_table_has_it():
    expected = {f.name: [kinds(f), f.unit, f.about] for f in FEATURES.values()}

    assert expected == rows("rules.md", "Features")


def test_every_key_of_a_rule_is_explained():
    assert set(RULE_KEYS) == set(rows("rules.md", "Keys"))


def test_every_key_of_a_rule_s_test_is_explained():
    text = section("rules.md", "tests")

    assert set(TEST_KEYS) == set(rows("rules.md", "tests"))
    assert all(f"`{key}`" in text for key in BURST_KEYS)


def test_every_check_is_explained_with_its_severity():
    expected = {name: severity.value for name, severity, _ in CHECKS}

    assert expected == {name: row[0] for name, row in rows("rules.md", "Checks").items()}


def test_every_key_of_the_configuration_is_explained():
    assert set(KEYS) == set(rows("configuration.md", "Keys"))


@pytest.mark.parametrize(
    ("title", "keys"),
    [
        ("inputs", INPUT_KEYS),
        ("journal", JOURNAL_KEYS),
        ("syslog", SYSLOG_KEYS),
        ("datagram", DATAGRAM_KEYS),
        ("tiers", TIER_KEYS),
        ("trials", TRIALS_KEYS),
        ("api", API_KEYS),
        ("log", LOG_KEYS),
        ("nft", NFT_KEYS),
        ("guard", GUARD_KEYS),
        *(
            (t, [f.name.removesuffix("_s") for f in msgspec.structs.fields(k)])
            for t, k in STRUCTS.items()
        ),
    ],
)
def test_every_key_below_is_explained(title, keys):
    assert set(keys) == set(rows("configuration.md", title))


@pytest.mark.parametrize("title", STRUCTS)
def test_the_defaults_in_the_guide_are_those_in_force(title):
    expected = {}
    for field in msgspec.structs.fields(STRUCTS[title]):
        is_time = field.name.endswith("_s")
        value = format_duration(field.default) if is_time else f"{field.default:_}"
        expected[field.name.removesuffix("_s")] = value.removesuffix(".0")

    assert expected == {
        key: row[0].strip("`") for key, row in rows("configuration.md", title).items()
    }


def test_the_plain_defaults_in_the_guide_are_those_in_force():
    config, table = Config(), rows("configuration.md", "Keys")

    assert {
        "posture": config.posture.value,
        "ports": str(list(config.ports)),
        "enforcer": config.enforcer.value,
        "state": str(config.state),
        "rules": f"[{', '.join(map(str, config.rules))}]",
        "trusted_proxies": str(list(config.trusted_proxies)),
        "proxy_header": config.proxy_header,
        "confirm_peers": str(config.confirm_peers).lower(),
        "never_block": str(list(config.never_block)),
        "protect_operator": str(config.protect_operator).lower(),
    } == {
        key: row[0].strip("`")
        for key, row in table.items()
        if row[0].startswith("`") and key != "tiers"
    }


def test_every_number_of_a_replay_is_explained():
    text = section("replay.md", "What the summary says")

    assert all(f"`{field}`" in text for field in Summary.__struct_fields__)


def test_every_option_of_replay_is_explained():
    text = (DOCS / "replay.md").read_text()
    options = [n.rstrip("_") for n in replay.__annotations__ if n not in ("inputs", "return")]

    assert all(f"`--{option.replace('as_', '')}" in text for option in options)
