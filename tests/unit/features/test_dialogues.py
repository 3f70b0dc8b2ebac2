"""Prompts are read as conversations, whatever order accounts send them in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from excise.features.dialogues import Dialogues, Memory
from excise.features.hashes import hash_of

FIRST = ("5e", "a1")
SECOND = (*FIRST, "b1", "c1")


@pytest.fixture
def read():
    """Read (account row, chain) pairs; return the reading."""

    def make(*sent, dialogues=None):
        accounts = np.array([a for a, _ in sent], dtype=np.int64)
        return (dialogues or Dialogues(4096)).read([c for _, c in sent], accounts)

    return make


def test_a_prompt_that_holds_an_earlier_one_continues_it(read):
    assert [True, False] == read((1, FIRST), (1, SECOND)).begins.tolist()


def test_the_same_prompt_again_begins_nothing(read):
    assert [True, False] == read((1, FIRST), (1, FIRST)).begins.tolist()


def test_another_account_takes_a_conversation_over(read):
    found = read((1, FIRST), (2, SECOND))

    assert [False, True] == found.taken_over.tolist()
    assert [True, True] == found.begins.tolist()


def test_examples_that_every_prompt_begins_with_are_no_conversation(read):
    shots = [("5e", "e1", "e2", f"d{i}") for i in range(3)]

    assert [True] * 3 == read(*[(1, s) for s in shots]).begins.tolist()


def test_a_beginning_is_shared_from_the_second_account_on(read):
    found = read(*[(a, ("5e", "f1", f"{a:02x}")) for a in (1, 2, 3, 1)])

    assert [0, hash_of("f1"), hash_of("f1"), hash_of("f1")] == found.shared.tolist()
    assert {hash_of("5e")} == set(found.template.tolist())


def test_without_a_prompt_nothing_is_known(read):
    found = read((1, ()), (0, FIRST))

    assert [False, True] == found.known.tolist()
    assert [False, False] == found.begins.tolist()


def test_what_is_no_hash_is_still_a_name(read):
    assert [True, False] == read((1, ("sys", "hello")), (1, ("sys", "hello"))).begins.tolist()
    assert hash_of("hello") > 0


@given(st.lists(st.tuples(st.integers(1, 99), st.integers(1, 9)), max_size=200), st.integers(0, 99))
def test_a_memory_is_bounded_and_survives_its_dump(pairs, asked):
    memory, again = Memory(32), Memory(32)
    for key, account in pairs:
        memory.put(key, account)
    again.load(memory.dump())

    assert len(memory.dump()) <= memory.capacity
    assert memory.get(asked) == again.get(asked)
