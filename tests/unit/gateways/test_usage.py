"""Token counts of answers, in the shapes that servers give them."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from excise.gateways.usage import TAIL_BYTES, Ends, usage

FULL = {
    "prompt_tokens": 12, "completion_tokens": 34, "total_tokens": 46,
    "prompt_tokens_details": {"cached_tokens": 5},
    "completion_tokens_details": {"reasoning_tokens": 6},
}  # fmt: skip
COUNTS = {"input_tokens": 12, "output_tokens": 34, "cached_tokens": 5, "reasoning_tokens": 6}
NEWER = {
    "input_tokens": 12, "output_tokens": 34,
    "input_tokens_details": {"cached_tokens": 5},
    "output_tokens_details": {"reasoning_tokens": 6},
}  # fmt: skip
LONG = "x" * (2 * TAIL_BYTES)


def event(value):
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def of(*pieces):
    ends = Ends()
    for piece in pieces:
        ends.add(piece if isinstance(piece, bytes) else json.dumps(piece).encode())
    return usage(ends)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        # documents
        ([{"usage": FULL}], COUNTS),
        ([{"usage": NEWER}], COUNTS),
        ([{"choices": [{"text": LONG}], "usage": FULL}], COUNTS),
        ([{"choices": [{"text": LONG}], "usage": NEWER, "metadata": {"usage": "none"}}], COUNTS),
        ([{"usage": FULL, "metadata": {f"k{n}": LONG for n in range(9)}}], COUNTS),
        ([{"usage": None}], {}),
        ([{"usage": {"prompt_tokens": "12", "completion_tokens": -1}}], {}),
        ([b"no json"], {}),
        ([b""], {}),
        ([[1]], {}),
        # chat completions, streamed
        ([event({"choices": [1]})] * 3 + [event({"usage": FULL}), b"data: [DONE]\n\n"], COUNTS),
        ([event({"choices": [1], "usage": None})] * 3, {"output_tokens": 3}),
        # usage with every piece: the last one counts
        ([event({"usage": {"completion_tokens": n}}) for n in range(9)], {"output_tokens": 8}),
        # responses, streamed
        ([event({"type": "response.completed", "response": {"usage": NEWER}})], COUNTS),
        ([event({"response": {"output": LONG, "usage": NEWER, "metadata": {"usage": LONG}}})],
         COUNTS),
        # messages, streamed: the input is told at the beginning
        ([event({"message": {"usage": {"input_tokens": 12, "output_tokens": 1}}}),
          *[event({"delta": LONG[:1000]})] * 99, event({"usage": {"output_tokens": 34}})],
         {"input_tokens": 12, "output_tokens": 34}),
    ],
)  # fmt: skip
def test_an_answer_tells(pieces, expected):
    assert expected == of(*pieces)


@given(st.lists(st.integers(1, 4000), max_size=6), st.sampled_from([FULL, NEWER]))
def test_where_an_answer_is_cut_makes_no_difference(cuts, told):
    whole = json.dumps({"choices": [{"text": LONG[:5000]}], "usage": told, "m": LONG}).encode()
    places = [0, *sorted(cuts), len(whole)]
    pieces = [whole[a:b] for a, b in pairwise(places)]
    assert COUNTS == of(*pieces)


@given(st.integers(0, 300))
def test_a_cut_within_the_usage_makes_no_difference(back):
    whole = json.dumps({"choices": [{"text": LONG}], "usage": FULL}).encode()
    assert COUNTS == of(whole[: len(whole) - back], whole[len(whole) - back :])


def test_what_is_kept_of_a_long_answer_is_bounded():
    ends = Ends()
    for _ in range(1000):
        ends.add(b"x" * 1000)
    kept = sum(map(len, ends._tail)) + len(ends.head) + len(ends.usage)
    assert (1_000_000, True) == (ends.size, kept < 3 * TAIL_BYTES)
