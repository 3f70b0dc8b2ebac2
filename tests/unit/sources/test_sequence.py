"""Gaps in nginx's numbers: what is missing, and what only comes late."""

import pytest

from excise.sources.sequence import MOST_CONNECTIONS, SETTLE_S, Sequence


def lines(connection, *requests):
    return [b'{"connection":"%d","connection_requests":"%d"}' % (connection, n) for n in requests]


def missing(*takes):
    """Return what was found missing in all, after everything has settled."""
    sequence = Sequence()
    found = sum(sequence.take(some, float(n)) for n, some in enumerate(takes))
    return found + sequence.settle(1e6)


@pytest.mark.parametrize(
    ("takes", "expected"),
    [
        ([lines(1, 1), lines(7, 1, 2, 3)], 0),
        ([lines(1, 1), lines(7, 1, 4)], 2),
        ([lines(1, 1), lines(7, 3)], 2),  # a connection that began under our eyes
        ([lines(1, 1), lines(7, 3, 1, 2)], 0),  # HTTP/2: in any order
        ([lines(7, 5, 6, 8)], 1),  # what came before the first line was before our time
        ([lines(7, 1), lines(3, 4, 5)], 0),  # an older connection, likewise
        ([[b"no numbers", b'{"connection": 7}', b'{"connection_requests": 9}']], 0),
        ([[b'{"connection": 1, "connection_requests": 1}'], lines(7, 2)], 1),
    ],
)
def test_what_is_missing_is_counted(takes, expected):
    assert expected == missing(*takes)


def test_a_connection_is_judged_once_it_has_been_silent():
    sequence = Sequence()
    assert 0 == sequence.take(lines(1, 1) + lines(7, 1, 5), 0.0)
    assert 0 == sequence.take(lines(7, 2), SETTLE_S - 1)
    assert 0 == sequence.settle(SETTLE_S + 1)
    assert 2 == sequence.settle(2 * SETTLE_S)
    assert 0 == sequence.settle(3 * SETTLE_S)


def test_it_remembers_a_bounded_number_of_connections():
    sequence = Sequence()
    for n in range(2 * MOST_CONNECTIONS):
        sequence.take(lines(n, 2), 0.0)

    assert MOST_CONNECTIONS == len(sequence._open)
