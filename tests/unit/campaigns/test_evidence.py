"""One account's part in a group's numbers is bounded, and things are counted without sorting."""

import numpy as np

from excise.campaigns.evidence import MOST, distinct, pooled, repeated, unique


def test_a_heavy_account_counts_for_no_more_than_the_most_in_a_share():
    repeats, moved = np.array([10_000.0, *[10.0] * 4]), np.array([10_000.0, *[0.0] * 4])
    share, amount = pooled(repeats, moved, np.zeros(5, dtype=int), 1)

    assert [MOST / (MOST + 40.0)] == share.tolist()
    assert [MOST + 40.0] == amount.tolist()


def test_things_are_counted_once_in_each_group():
    group, thing = np.array([0, 0, 0, 1, 1]), np.array([7, 7, 8, 7, 7])

    assert [2.0, 1.0, 0.0] == distinct(group, thing, 3).tolist()


def test_hashes_far_apart_and_negative_numbers_are_told_apart():
    group, thing = np.array([0, 0, 0, 1]), np.array([-(1 << 62), 1 << 62, (1 << 62) + 1, 1 << 62])

    assert [3.0, 1.0] == distinct(group, thing, 2).tolist()
    assert [2.0, 1.0] == distinct(group, np.array([-5, -4, -5, -5]), 2).tolist()


def test_keys_are_made_unique_in_order():
    assert [-1, 2, 9] == unique(np.array([9, 2, -1, 9, 2])).tolist()
    assert [] == unique(np.empty(0, dtype=np.int64)).tolist()


def test_what_is_there_often_is_never_sieved_out_and_little_else_is_kept():
    rng = np.random.default_rng(1)
    rare = rng.integers(1, 1 << 62, 20_000)
    often = np.repeat(rng.integers(1, 1 << 62, 50), 6)
    kept = repeated(np.concatenate((often, rare)), 6)

    assert kept[: len(often)].all()
    assert kept[len(often) :].mean() < 0.02
    assert [] == repeated(rare[:0], 6).tolist()
