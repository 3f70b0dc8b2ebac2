import numpy as np
import pytest

from excise.engine import Engine
from excise.features.values import resting
from excise.model.entity import Kind
from excise.model.record import Record
from excise.model.settings import Capacity, Settings
from excise.model.step import Observed
from excise.rules.schema import Rulebook

START = 1_700_000_000.0


@pytest.fixture
def record():
    """Make a record at so many seconds after the start."""

    def make(at_s, client="203.0.113.7", **fields):
        return Record(ts=START + at_s, client=client, **fields)

    return make


@pytest.fixture
def engine():
    """Make an engine with small tables and no rules; keywords size the tables."""

    def make(**sizes):
        small = dict.fromkeys(Capacity.__struct_fields__, 256)
        return Engine(Settings(capacity=Capacity(**(small | sizes))), Rulebook())

    return make


@pytest.fixture
def observe():
    return lambda engine, records: engine.step([Observed(list(records))])


@pytest.fixture
def value():
    """Read a feature of an entity as it stands now."""

    def read(engine, kind, name, feature, now=None):
        world = engine.world
        names = world.interner(kind) if kind is not Kind.USE else world.uses
        at = np.array([names.rows[name]])
        view = resting(world.tables[kind], at, now or engine.clock, world.landmark)
        return float(view[feature][0])

    return read
