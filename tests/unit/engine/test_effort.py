"""Judging stays cheap where many accounts share many addresses: nothing is worked out twice."""

from collections import Counter

import pytest

from excise.decide.cases import Cases
from excise.model.entity import Kind
from excise.model.record import Record
from excise.model.step import Observed

ACCOUNTS, CLIENTS = 12, 9


def grid(at_s=0.0):
    """Return a request of every account from every client."""
    return [
        Record(
            ts=1_700_000_000.0 + at_s + (i * CLIENTS + j) / 100,
            client=f"198.51.100.{j}",
            account=f"a{i}",
            output_tokens=500,
            input_tokens=20,
            status=200,
        )
        for i in range(ACCOUNTS)
        for j in range(CLIENTS)
    ]


@pytest.fixture
def effort(monkeypatch):
    """Count how often somebody's work is done, by method and argument."""
    done = Counter()

    def watch(name):
        original = getattr(Cases, name)

        def counted(self, row, *rest):
            done[name, row] += 1
            return original(self, row, *rest)

        monkeypatch.setattr(Cases, name, counted)

    watch("_stand_behind")
    watch("account_score")
    return done


def test_who_stands_behind_a_client_is_found_out_once_for_all_who_share_it(engine, rule, effort):
    watched = engine(rule("volume.x", "volume", 39), rule("shape.x", "shape", 39))
    watched.step([Observed(grid())])
    effort.clear()
    watched.world.links.stamp += 1  # as the next record makes it
    client = watched.world.clients.rows["198.51.100.3/32"]
    watched.judge.assess(Kind.CLIENT, client, watched.clock + 60.0)

    assert {1} == {n for (name, _), n in effort.items() if name == "_stand_behind"}
    assert ACCOUNTS - 1 == sum(n for (name, _), n in effort.items() if name == "account_score")
