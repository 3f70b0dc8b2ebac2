"""Hashes become numbers that outlive the record: at once, or one by one, but always the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from excise.features.hashes import DIGITS, MASK, hash_of, hashes_of

DIGIT = st.text("0123456789abcdef", min_size=DIGITS, max_size=DIGITS)
ODD = st.text("0123456789abcdefg \n", min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("digits", "number"),
    [
        ("00000000000000ff", 255),
        ("ff", 255),
        ("f" * 16, MASK),
        ("00000000000000ff" + "d" * 48, 255),
        ("0" * 16, 1),
        ("8" + "0" * 15, 1),
    ],
)
def test_a_hash_is_63_bits_of_its_first_16_digits_and_never_zero(digits, number):
    assert number == hash_of(digits)
    assert [number] == hashes_of([digits]).tolist()


@given(st.lists(DIGIT, max_size=20), st.lists(ODD, max_size=2))
def test_hashes_read_together_are_those_read_one_by_one(plain, odd):
    assert [hash_of(t) for t in plain] == hashes_of(plain).tolist()
    assert [hash_of(t) for t in plain + odd] == hashes_of(plain + odd).tolist()


def test_blanks_among_16_digits_do_not_shift_the_hashes_behind_them():
    blank, plain = "ab" + " " * 14, "00000000000000ff"
    texts = [blank] * 8 + [plain] * 7
    assert [hash_of(t) for t in texts] == hashes_of(texts).tolist()
    assert 15 == len(hashes_of(texts))
