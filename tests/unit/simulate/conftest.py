"""Small simulations, decoded and judged as a user would: by the shipped rules."""

from pathlib import Path

import msgspec
import pytest

from excise.decode.base import DecodeContext
from excise.decode.record import RecordDecoder
from excise.engine import Engine
from excise.model.decision import DecisionEvent, Posture
from excise.model.entity import Kind
from excise.model.settings import Settings
from excise.model.step import Observed
from excise.rulecheck import load_rules
from excise.simulate import compose, score

RULES = Path(__file__).parents[3] / "rules"


@pytest.fixture(scope="session")
def shipped():
    book, errors = load_rules([RULES])
    assert not errors
    return book


@pytest.fixture(scope="session")
def judged(shipped):
    """Return a function from a plan to the report on what the shipped rules make of it.

    Keywords are quantiles of clients' features, as a larger host would have them.
    """

    def judge(plan, **usual):
        made = list(compose(plan))
        decoded = RecordDecoder(DecodeContext(trusted=(), account_key=b"")).decode(
            [line for line, _ in made]
        )
        assert not decoded.rejects
        assert 0 == decoded.unknown_fields
        engine = Engine(Settings(posture=Posture.ENFORCE), shipped)
        engine.set_baseline(Kind.CLIENT, usual)
        effects = engine.step([Observed(decoded.records)])
        changes = [e.to_wire() for e in effects if isinstance(e, DecisionEvent)]
        return score([row for _, row in made], changes)

    return judge


@pytest.fixture
def as_lines():
    """Return a function from a plan to its records as objects, with their rows."""

    def read(plan):
        return [(msgspec.json.decode(line), row) for line, row in compose(plan)]

    return read
