"""An account's requests are told apart by when and where they come; memory of them is bounded."""

import numpy as np
import pytest

from excise.features.conduct import AT
from excise.model.asns import AsnTable, ranges


@pytest.fixture
def sums(engine, observe, record):
    """Observe records of one account, given as (at_s, client, fields); return its sums."""

    def make(*sent, **fields):
        watched = engine()
        base = {"account": "a", "output_tokens": 100, "input_tokens": 10, "status": 200}
        observe(watched, [record(at, client, **(base | fields)) for at, client in sent])
        row = watched.world.accounts.rows["a"]
        return {n: watched.world.conduct.sums[row, i] for n, i in AT.items()}

    return make


HERE, THERE = "203.0.113.7", "198.51.100.9"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ([(0, HERE)], (0, 0, 0)),
        ([(0, HERE), (60, HERE)], (1, 0, 0)),
        ([(0, HERE), (1201, HERE)], (1, 1, 0)),
        ([(0, HERE), (60, THERE), (120, HERE)], (2, 0, 2)),
        ([(0, HERE), (3000, THERE), (6000, THERE)], (2, 2, 1)),
    ],
    ids=str,
)
def test_repeats_come_alone_or_from_elsewhere(sums, sent, expected):
    found = sums(*sent)
    n = found["requests"] / len(sent)  # what a request weighs

    assert expected == tuple(round(found[k] / n) for k in ("repeats", "alone", "moved"))


def test_inside_a_slash_64_nobody_moves(sums):
    assert 0.0 == sums((0, "2001:db8::1"), (9, "2001:db8::2"))["moved"]


def test_failures_and_empty_answers_are_not_conduct(sums):
    assert 0.0 == sums((0, HERE), status=503)["requests"]
    assert 0.0 == sums((0, HERE), output_tokens=0)["requests"]


def test_without_tokens_bytes_stand_in_for_them(sums):
    found = sums((0, HERE), output_tokens=-1, bytes_out=4000)

    assert 1000.0 == pytest.approx(found["output"] / found["requests"])


def test_ties_are_bounded_and_the_thinnest_go_first(engine, observe, record):
    watched = engine(ties=32)
    common = {"account": "a", "output_tokens": 9, "status": 200}
    observe(watched, [record(i, prompt=("aa", f"b{i:x}"), **common) for i in range(20)])
    observe(watched, [record(30 + i, prompt=(f"c{i:x}", "d"), **common) for i in range(200)])
    ties = watched.world.conduct.ties

    assert len(ties.live()) <= 32
    assert 0xAA in ties.template.tolist()


def test_a_forgotten_account_leaves_nothing(engine, observe, record):
    watched = engine()
    observe(watched, [record(0, account="a", output_tokens=9, status=200, prompt=("aa",), org="o")])
    conduct, row = watched.world.conduct, watched.world.accounts.rows["a"]
    assert conduct.org[row] > 0
    conduct.forget(np.array([row]))

    assert 0 == conduct.org[row] == len(conduct.ties.live())
    assert not conduct.sums[row].any()


@pytest.mark.parametrize(
    ("there", "roams"),
    [
        ("203.0.113.99", 0),
        ("203.0.7.7", 0),
        ("198.51.100.9", 1),
        ("2001:db8:7::1", 1),
    ],
)
def test_who_moves_within_one_providers_networks_does_not_roam(sums, there, roams):
    found = sums((0, HERE), (60, there))

    assert roams == round(found["roamed"] / found["requests"] * 2)
    assert 1 == round(found["moved"] / found["requests"] * 2)


@pytest.mark.parametrize(
    ("sent", "strayed"),
    [
        ([(0, HERE), (1201, THERE)], 1),
        ([(0, HERE), (1199, THERE)], 0),
        ([(0, HERE), (1201, "203.0.113.99")], 0),
        ([(0, HERE), (1201, THERE), (1260, THERE), (3000, HERE), (5000, HERE)], 2),
    ],
    ids=str,
)
def test_who_comes_back_after_a_pause_from_an_unrelated_network_strays(sums, sent, strayed):
    found = sums(*sent)

    assert strayed == round(found["strayed"] / found["requests"] * len(sent))


@pytest.mark.parametrize(("logprobs", "soft"), [(-1, 0), (0, 0), (1, 0), (2, 1), (20, 1)])
def test_answers_with_alternatives_for_each_token_are_counted(sums, logprobs, soft):
    found = sums((0, HERE), logprobs=logprobs)

    assert soft == found["soft"] / found["requests"]


def test_between_networks_of_one_system_nobody_roams_where_the_table_says_so(
    engine, observe, record
):
    clients = ("203.0.113.1", "203.0.113.30", "198.51.100.1")
    same = AsnTable(ranges([(0, (1 << 32) - 1, 64500)]), ranges([]))
    for table, roamed in ((None, 1), (same, 0)):
        watched = engine()
        watched.world.directory.asns = table
        common = {"account": "a", "output_tokens": 9, "status": 200}
        observe(watched, [record(60 * i, c, **common) for i, c in enumerate(clients)])
        of = watched.world.conduct.sums[watched.world.accounts.rows["a"]]

        assert roamed == round(of[AT["roamed"]] / of[AT["requests"]] * len(clients))
