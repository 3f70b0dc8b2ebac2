"""A trial, where throttled accounts are served as the shipped gateways serve them: in turns.

What is refused is in the log as the gateways write it: with its account and status 429.
"""

from collections import Counter
from dataclasses import dataclass, field
from zlib import crc32

import msgspec
import pytest
from tests.closedloop import BOOK, MEMBERS, PACE, SETTINGS, World

from excise.campaigns.marks import WINDOWS
from excise.engine import Engine
from excise.gateways.verdicts import MILD_MIN
from excise.model.step import Observed

TURN_S, MOST = 60, 6
#: a trial begins after its windows, the one under way, and half an hour later it is over
OVER = 30 * (WINDOWS + 1) + 35


@dataclass
class Served(World):
    """A pool hands what was refused to another account at once; people try again later, if ever.

    `minutes` come to a turn; with 1 there is nothing but the limit of requests in a minute.
    """

    obeys: bool = False  # nobody asks less: what is refused is refused by the gateway
    minutes: int = MILD_MIN
    served: Counter = field(default_factory=Counter)

    def _asks(self):
        logged = [r for asked in super()._asks() for r in self._until_served(asked)]
        return sorted(logged, key=lambda record: record.ts)

    def _until_served(self, asked):
        while asked.account in self.throttled and not self._serves(asked):
            yield msgspec.structs.replace(
                asked, status=429, prompt=(), input_tokens=-1, output_tokens=-1, bytes_out=180
            )
            if not self.pooled:
                return
            other = f"m{self.chance.integers(MEMBERS)}"
            asked = msgspec.structs.replace(asked, ts=asked.ts + 0.1, account=other)
        yield asked

    def _serves(self, asked):
        turn, at = divmod(int(asked.ts) + crc32(asked.account.encode()), self.minutes * TURN_S)
        self.served[asked.account, turn] += at < TURN_S
        return at < TURN_S and self.served[asked.account, turn] <= MOST


def refused(world):
    return [r for minute in world.records for r in minute if r.status == 429]


@pytest.fixture(scope="module")
def pool():
    return Served(pooled=True).run(OVER)


def test_a_pool_that_goes_over_to_other_accounts_is_found(pool):
    assert "shifted" == pool.trial.state
    assert 0.6 < pool.trial.gained_requests / pool.trial.lost_requests < 1.4


def test_people_who_are_refused_are_no_pool_and_lose_two_thirds():
    trial = Served(pooled=False).run(OVER).trial

    assert "unmoved" == trial.state
    usual = trial.slowed * 30 * PACE
    assert 2 / 3 == pytest.approx(trial.lost_requests / usual, abs=0.1)


def test_a_limit_of_requests_alone_would_slow_nobody_who_asks_seldom():
    world = Served(pooled=True, minutes=1).run(OVER)

    assert "void" == world.trial.state
    assert "the accounts were not slowed" in world.trial.why


def test_what_was_refused_changes_nothing_of_what_a_trial_finds(pool):
    again = Engine(SETTINGS, BOOK)
    for minute in pool.records:
        again.step([Observed([r for r in minute if r.status == 200])])

    assert len(refused(pool)) > 500
    assert pool.engine.campaigns()[0].trial == again.campaigns()[0].trial
