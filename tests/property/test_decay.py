"""Decayed sums are what adding up x * 2^(-age / half-life) by hand gives, over days."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from excise.engine import Engine
from excise.features.table import HALF_LIVES_S
from excise.features.values import resting
from excise.model.entity import Kind
from excise.model.record import Record
from excise.model.settings import Capacity, Settings
from excise.model.step import Observed
from excise.rules.schema import Rulebook

START = 1_700_000_000.0
SMALL = Settings(capacity=Capacity(64, 64, 64, 64, 64, 64, 64))
#: late lines are within the tolerance, gaps within what one line may claim
STEPS = st.lists(
    st.tuples(st.floats(-200.0, 3500.0), st.integers(0, 100_000)), min_size=1, max_size=120
)


def stream(steps):
    clock, out = START, []
    for step_s, tokens in steps:
        ts = clock + step_s
        clock = max(clock, ts) if out else ts  # the first line sets the clock
        out.append((max(ts, clock - 299.0), tokens))
    return out, clock


def by_hand(taken, now, half_life_s):
    return sum(x * 2.0 ** (-(now - ts) / half_life_s) for ts, x in taken)


@hypothesis_settings(max_examples=40)
@given(steps=STEPS)
@example(steps=[(-200.0, 0), (3401.0, 0)])
def test_sums_decay_as_computed_by_hand(steps):
    taken, now = stream(steps)
    engine = Engine(SMALL, Rulebook())
    records = [Record(ts=ts, client="203.0.113.7", output_tokens=x) for ts, x in taken]
    engine.step([Observed(records)])
    world = engine.world
    view = resting(world.tables[Kind.CLIENT], np.array([1]), now, world.landmark)
    for name, half_life_s in HALF_LIVES_S.items():
        expected = by_hand(taken, now, half_life_s)
        assert pytest.approx(expected, rel=1e-9, abs=1e-9) == view[f"output_tokens_{name}"][0]
        ones = [(ts, 1.0) for ts, _ in taken]
        expected = by_hand(ones, now, half_life_s)
        assert pytest.approx(expected, rel=1e-9, abs=1e-9) == view[f"requests_{name}"][0]
    assert len(taken) == view["total"][0]
