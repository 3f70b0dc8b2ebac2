"""Who goes on with whose conversation is counted, bounded, kept over a restart and forgotten."""

import numpy as np
import pytest

from excise.features.handoffs import Handoffs


def rows(*values):
    return np.array(values, dtype=np.int64)


def absorb(handoffs, *pairs):
    taker, giver = (rows(*side) for side in zip(*pairs, strict=True))
    n = len(taker)
    handoffs.absorb(taker, giver, np.ones(n), np.arange(1.0, n + 1.0))


def pairs(handoffs):
    live = handoffs.live()
    found = zip(
        handoffs.taker[live].tolist(),
        handoffs.giver[live].tolist(),
        handoffs.sums[live].tolist(),
        strict=True,
    )
    return sorted(found)


@pytest.fixture
def handoffs():
    made = Handoffs(64)
    absorb(made, (1, 2), (1, 2), (2, 1), (3, 0), (4, 1))
    return made


def test_hand_offs_are_counted_by_pair_and_direction(handoffs):
    assert [(1, 2, 2.0), (2, 1, 1.0), (4, 1, 1.0)] == pairs(handoffs)


def test_an_account_that_is_forgotten_takes_its_pairs_along(handoffs):
    handoffs.forget(rows(2))

    assert [(4, 1, 1.0)] == pairs(handoffs)


def test_the_rarest_pairs_go_first(handoffs):
    absorb(handoffs, *((5, n) for n in range(100, 400)))

    assert len(handoffs.live()) <= 64
    assert (1, 2, 2.0) in pairs(handoffs)


def test_what_is_loaded_is_what_was_dumped(handoffs):
    handoffs.forget(rows(2))
    other = Handoffs(64)
    other.load(handoffs.dump())
    absorb(other, (4, 1), (7, 8))

    assert [(4, 1, 2.0), (7, 8, 1.0)] == pairs(other)


def test_sums_halve_in_a_day_and_times_follow_the_clock(handoffs):
    handoffs.rescale(86_400.0)
    handoffs.shift(0.5)

    assert [(1, 2, 1.0), (2, 1, 0.5), (4, 1, 0.5)] == pairs(handoffs)
    assert [1.5, 2.5, 4.5] == handoffs.last[handoffs.live()].tolist()


def test_a_conversation_is_taken_over_from_the_account_that_asked_last(engine, observe, record):
    watched = engine()
    common = {"output_tokens": 9, "status": 200}
    chain = ("aa", "b1", "b2", "b3", "b4")
    observe(
        watched,
        [
            record(0, account="a", prompt=chain[:2], **common),
            record(9, account="b", prompt=chain[:4], **common),
            record(19, account="c", prompt=chain, **common),
            record(29, account="c", prompt=(*chain, "b5", "b6"), **common),
        ],
    )
    row = watched.world.accounts.rows

    found = [(taker, giver) for taker, giver, _ in pairs(watched.world.conduct.handoffs)]
    assert sorted([(row["b"], row["a"]), (row["c"], row["b"])]) == found
