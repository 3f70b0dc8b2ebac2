"""A day with two campaigns, replayed once, and its report."""

from pathlib import Path

import pytest

from excise.decode.base import DecodeContext
from excise.decode.record import RecordDecoder
from excise.engine import Engine
from excise.model.decision import Posture
from excise.model.settings import Settings
from excise.model.step import Observed
from excise.replay import Accounting, Chronicle
from excise.report import collect
from excise.rulecheck import load_rules
from excise.simulate import Plan, compose

RULES = Path(__file__).parents[3] / "rules"


@pytest.fixture(scope="session")
def reported():
    """Return a function from log lines to a report under the shipped rules."""
    book, _ = load_rules([RULES])

    def report(lines):
        decoded = RecordDecoder(DecodeContext(trusted=(), account_key=b"")).decode(lines)
        chronicle = Chronicle()
        accounting = Accounting((rule.id for rule in book.rules), chronicle)
        engine = Engine(Settings(posture=Posture.ENFORCE), book)
        accounting.decoded(len(lines), decoded)
        accounting.take(decoded.records, engine.step([Observed(decoded.records)]))
        return collect(["day.ndjson"], engine, accounting, chronicle)

    return report


@pytest.fixture(scope="session")
def raided(reported):
    """The report of a small day with a hydra and a fleet behind few addresses."""
    plan = Plan(seed=5, requests=8_000, add=("hydra", "rotation", "office"),
                options={"hydra": {"share": 0.4}, "rotation": {"share": 0.4}})  # fmt: skip
    return reported([line for line, _ in compose(plan)])
