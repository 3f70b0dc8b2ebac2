"""How often campaigns are looked for is the operator's to say, also while it runs."""

from pathlib import Path

import msgspec
import pytest

from excise.config.parse import parse_config
from excise.engine import Engine
from excise.model.record import Record
from excise.model.settings import Policy, Settings
from excise.model.step import Observed
from excise.rulecheck import load_rules
from excise.yamlread import read_yaml

RULES = Path(__file__).parents[3] / "rules"
BEGIN = 1_767_571_200.0


def fleet(begin, seconds):
    """Twelve accounts dealt over forty addresses, one prompt, a request a second."""
    return [
        Record(
            ts=BEGIN + n,
            client=f"2001:db8:{n % 41:x}::1",
            account=f"a{n % 12}",
            prompt=["aa01", f"b{n:04x}"],
            input_tokens=90,
            output_tokens=3_000,
        )
        for n in range(begin, begin + seconds)
    ]


@pytest.fixture
def engine():
    book, _ = load_rules([RULES])
    return Engine(Settings(), book)


def test_a_campaign_is_looked_for_every_ten_minutes(engine):
    engine.step([Observed(fleet(1, 500))])
    assert [] == engine.campaigns()
    engine.step([Observed(fleet(501, 200))])
    assert 1 == len(engine.campaigns())


def test_a_shorter_time_holds_at_once(engine):
    engine.step([Observed(fleet(1, 300))])
    assert [] == engine.campaigns()
    engine.configure(msgspec.structs.replace(engine.settings, policy=Policy(campaign_pass_s=10)))
    engine.step([Observed(fleet(301, 20))])
    assert 1 == len(engine.campaigns())


def test_a_time_shorter_than_a_second_is_refused():
    _, (error,) = parse_config(read_yaml("policy: {campaign_pass: 500ms}\n", "excise.yaml"))
    assert "campaign_pass is at least 1s" in str(error)
