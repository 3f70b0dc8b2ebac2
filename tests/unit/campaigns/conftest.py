"""A world that has seen a fleet and honest people, and the groups found in it."""

import pytest

from excise.engine import Engine
from excise.model.record import Record
from excise.model.settings import Capacity, Settings
from excise.model.step import Observed
from excise.rules.schema import Rulebook

START = 1_700_000_400.0  # the first second of a pass


@pytest.fixture
def start():
    return START


@pytest.fixture
def fleet():
    """Make a fleet's records: each account asks once every `accounts * every_s`."""

    def make(accounts=12, count=120, every_s=150.0, exits=37, **fields):
        chain = fields.pop("prompt", "f1ee")
        base = {"input_tokens": 90, "output_tokens": 3000, "status": 200}
        return [
            Record(
                ts=START + i * every_s,
                client=f"2001:db8:{i % exits:x}::1",
                account=f"fleet{i % accounts}",
                prompt=(chain, f"a{i:x}") if chain else (),
                **(base | fields),
            )
            for i in range(count)
        ]

    return make


@pytest.fixture
def people():
    """Make people's records: a conversation of six turns each, from home, under one prompt."""

    def make(heads=40, every_s=30.0, prompt="ca11"):
        records = []
        for i in range(heads):
            chain = [prompt]
            for turn in range(6):
                chain += [f"{i:x}{turn:x}ab", f"{i:x}{turn:x}cd"]
                records.append(
                    Record(
                        ts=START + i * 200.0 + turn * every_s,
                        client=f"198.51.100.{i}",
                        account=f"person{i}",
                        prompt=tuple(chain[:4] + chain[-4:] if len(chain) > 8 else chain),
                        input_tokens=800,
                        output_tokens=250,
                        status=200,
                    )
                )
        return records

    return make


@pytest.fixture
def seen():
    """Return the world after an engine without rules has seen records, and its clock."""

    def observe(*streams):
        engine = Engine(
            Settings(capacity=Capacity(**dict.fromkeys(Capacity.__struct_fields__, 4096))),
            Rulebook(),
        )
        records = sorted((r for s in streams for r in s), key=lambda r: r.ts)
        engine.step([Observed(records)])
        return engine.world, engine.clock

    return observe


@pytest.fixture
def names():
    """Return the accounts of each group by name, sorted."""

    def read(world, groups):
        return [
            sorted(world.accounts.name(int(a)) for a in groups.account[groups.of == g])
            for g in range(groups.n)
        ]

    return read
