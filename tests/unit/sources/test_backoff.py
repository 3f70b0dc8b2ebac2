"""Pauses that grow."""

from excise.sources.backoff import Backoff


def test_pauses_double_up_to_a_minute_and_begin_anew():
    backoff = Backoff()
    pauses = [backoff.step() for _ in range(9)]

    assert [0.5, 1, 2, 4, 8, 16, 32, 60, 60] == pauses
    backoff.reset()
    assert 0.5 == backoff.step()
