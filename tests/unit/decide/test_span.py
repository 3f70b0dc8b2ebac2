"""Ranges of addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from excise.decide.span import BITS, SpanIndex, outermost, parse_span


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2001:db8:0:1::/64", True),
        ("2001:db8::/63", False),
        ("2001:db8:0:1::/65", False),
        ("2001:db8::1", False),
        ("192.0.2.0/24", False),
        ("::/0", False),
    ],
)
def test_a_v6_client_is_exactly_one_slash64(text, expected):
    assert expected == parse_span(text).is_slash64


@st.composite
def nested(draw):
    """A network of any width, in two places of each version, so that many nest."""
    version = draw(st.sampled_from([4, 6]))
    bits = BITS[version]
    base = draw(st.sampled_from(["203.0.112.0", "192.0.2.0"] if version == 4 else ["2001:db8::"]))
    low = draw(st.integers(0, 1023)) << draw(st.sampled_from([0, 0, bits - 64 if bits > 64 else 0]))
    prefix = draw(st.integers(8, bits))
    start = (parse_span(base).start + low) >> (bits - prefix) << (bits - prefix)
    address = parse_span(base).__class__(version, start, start)
    return parse_span(f"{str(address).partition('/')[0]}/{prefix}")


spans = st.lists(nested(), max_size=30)


@given(spans, spans, nested())
def test_the_index_finds_what_looking_at_each_finds(added, removed, outer):
    index = SpanIndex(added)
    for span in removed:
        index.discard(span)
    left = set(added) - set(removed)

    found = list(index.within(outer))

    assert len(found) == len(set(found))
    assert {span for span in left if outer.covers(span)} == set(found)


@given(spans)
def test_the_outermost_cover_all_and_no_other(given_spans):
    outer = outermost(given_spans)

    assert all(any(one.covers(span) for one in outer) for span in given_spans)
    assert not any(a.covers(b) for a in outer for b in outer if a is not b)
    assert sorted(outer) == outer
