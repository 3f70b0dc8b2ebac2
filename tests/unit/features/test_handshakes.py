"""The least handshake of a client beside its least round trip: what counts, for how long."""

import numpy as np
import pytest

from excise.engine import Engine
from excise.features.handshakes import LONGEST_US, timed
from excise.features.values import resting
from excise.model.entity import Kind
from excise.model.record import Record
from excise.model.settings import Settings
from excise.model.step import Observed
from excise.rules.schema import Rulebook

START = 1_700_000_000.0
HOUR = 3600.0
CLIENT = "192.0.2.7"
NAMES = ("handshakes", "tcp_rtt_ms", "tls_handshake_ms", "handshake_beyond_ms", "handshake_ratio")
NOTHING = (0.0, 0.0, 0.0, 0.0, 0.0)


def told(rtt, handshake, *, at=0.0, client=CLIENT, peer=""):
    return Record(START + at, client, peer=peer, tcp_rtt=rtt, tls_handshake=handshake)


def known(engine, name=f"{CLIENT}/32"):
    table = engine.world.tables[Kind.CLIENT]
    rows = np.array([engine.world.clients.rows[name]])
    view = resting(table, rows, engine.clock, engine.world.landmark)
    return tuple(round(float(view[name][0]), 6) for name in NAMES)


def after(*records, name=f"{CLIENT}/32"):
    engine = Engine(Settings(), Rulebook())
    engine.step([Observed([record]) for record in records])
    return known(engine, name)


FIVE = [(0.005, 0.2), (0.006, 0.11), (0.004, 0.3), (0.1, 0.15), (2.0, 0.105)]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (FIVE, (5.0, 4.0, 105.0, 101.0, 26.25)),
        (FIVE[:4], (4.0, *NOTHING[1:])),
        ([*FIVE[:4], (0.001, -1.0)], (4.0, *NOTHING[1:])),
        ([*FIVE[:4], (-1.0, 0.001)], (4.0, *NOTHING[1:])),
        ([*FIVE[:4], (0.0, 0.001)], (4.0, *NOTHING[1:])),
        ([*FIVE[:4], (0.001, 0.0)], (4.0, *NOTHING[1:])),
        ([(0.2, 0.1)] * 5, (5.0, 200.0, 100.0, 0.0, 0.5)),
        ([(1e8, 1e8)] * 5, (5.0, LONGEST_US / 1e3, LONGEST_US / 1e3, 0.0, 1.0)),
        ([(1e-9, 0.1)] * 5, (5.0, 0.001, 100.0, 99.999, 100_000.0)),
    ],
    ids=["five", "four", "no handshake", "no round trip", "round trip of nothing",
         "handshake of nothing", "early data", "absurd", "shorter than a microsecond"],
)  # fmt: skip
def test_the_least_of_five_that_tell_both_is_known(times, expected):
    assert expected == after(*(told(*pair) for pair in times))


def test_hosts_of_one_v6_network_are_one_client():
    records = [told(*pair, client=f"2001:db8::{i}") for i, pair in enumerate(FIVE)]
    assert 26.25 == after(*records, name="2001:db8::/64")[-1]


def test_times_of_a_proxy_in_front_do_not_count():
    assert NOTHING == after(*(told(*pair, peer="198.51.100.1") for pair in FIVE))


def test_a_peer_that_is_the_client_is_no_proxy():
    assert 5.0 == after(*(told(*pair, peer=CLIENT) for pair in FIVE))[0]


def test_where_nobody_tells_any_nothing_is_kept():
    assert timed(np.array([0.01, -1.0]), np.array([-1.0, 0.1]), np.ones(2)) is None


@pytest.mark.parametrize(("hours", "expected"), [(11, 105.0), (25, 0.0)])
def test_they_are_remembered_for_12_to_24_hours(hours, expected):
    begun = [told(*pair) for pair in FIVE]
    later = [Record(START + hour * HOUR, CLIENT) for hour in range(1, hours + 1)]
    assert expected == after(*begun, *later)[2]


def test_a_client_that_was_forgotten_has_none():
    engine = Engine(Settings(), Rulebook())
    engine.step([Observed([told(*pair) for pair in FIVE])])
    engine.world.tables[Kind.CLIENT].clear(np.array([engine.world.clients.rows[f"{CLIENT}/32"]]))
    assert NOTHING == known(engine)


def test_a_restart_keeps_them():
    engine, again = (Engine(Settings(), Rulebook()) for _ in range(2))
    engine.step([Observed([told(*pair) for pair in FIVE])])
    again.restore(engine.snapshot())
    assert known(engine) == known(again)
    again.step([Observed([told(0.001, 0.04, at=60.0)])])
    assert (6.0, 1.0, 40.0, 39.0, 40.0) == known(again)


def test_who_asks_why_is_told_the_numbers():
    engine = Engine(Settings(), Rulebook())
    engine.step([Observed([told(*pair) for pair in FIVE])])
    expected = (
        "Its TLS handshakes take 105 ms at least, round trips of its connections 4 ms "
        "(5 connections timed)."
    )
    assert expected in engine.explain(CLIENT).sentences
    assert not [s for s in engine.explain("192.0.2.0/24").sentences if "TLS" in s]
