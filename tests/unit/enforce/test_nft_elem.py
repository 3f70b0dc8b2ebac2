"""Set elements: what is packed comes back, and large lists are cut."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from excise.enforce import nft_elem as elem
from excise.enforce import nft_expr as expr
from excise.enforce.nft_wire import Msg, Reply, be32, be64, nest


def answer(message):
    return Reply(message.type, 0, 1, message.family, message.payload)


def sent(*entries):
    return elem.elements_message(Msg.NEWSETELEM, 2, "excise", "block", entries)


@pytest.mark.skipif(sys.byteorder != "little", reason="golden bytes are little-endian")
def test_an_element_has_key_timeout_and_expiration():
    expected = (
        "28000180"  # NFTA_LIST_ELEM
        "0c000180 08000100 cb007107"  # key 203.0.113.7
        "0c000400 00000000000927c0"  # timeout 600,000 ms
        "0c000500 00000000000927c0"  # expiration: without it a held element is not renewed
    ).replace(" ", "")
    assert expected == elem.element(bytes([203, 0, 113, 7]), 600_000).hex()


@given(
    st.binary(min_size=4, max_size=4),
    st.one_of(st.none(), st.integers(1, 2**40)),
    st.integers(1, 2**40),
)
def test_an_element_comes_back_as_it_was_packed(key, timeout_ms, rate):
    own = elem.element_expressions(expr.limit_over(rate, 1, 0, in_bytes=True), expr.counter())
    (raw,) = elem.raw_elements(answer(sent(elem.element(key, timeout_ms, own))))
    assert (key, False, timeout_ms) == (raw.key, raw.is_end, raw.expires_ms)
    assert ["limit", "counter"] == [name for name, _fields in raw.expressions]
    assert rate == int.from_bytes(raw.expressions[0][1][1], "big")


def test_a_single_expression_takes_the_older_attribute():
    own = elem.element_expressions(expr.counter())
    (raw,) = elem.raw_elements(answer(sent(elem.element(bytes(4), None, own))))
    assert ["counter"] == [name for name, _fields in raw.expressions]


def test_the_end_of_an_interval_is_marked():
    (raw,) = elem.raw_elements(answer(sent(elem.end_element(bytes([192, 0, 3, 0])))))
    assert (bytes([192, 0, 3, 0]), True, None) == (raw.key, raw.is_end, raw.expires_ms)


def test_ten_thousand_elements_make_messages_that_fit_an_attribute():
    entries = [elem.element(n.to_bytes(4, "big"), 600_000) for n in range(10_000)]
    messages = list(elem.elements_messages(Msg.NEWSETELEM, 2, "excise", "block", entries))
    assert all(len(m.payload) < 1 << 16 for m in messages)
    keys = [raw.key for m in messages for raw in elem.raw_elements(answer(m))]
    assert [n.to_bytes(4, "big") for n in range(10_000)] == keys


def test_no_entries_make_no_message():
    assert [] == list(elem.elements_messages(Msg.NEWSETELEM, 2, "excise", "block", []))


@given(st.binary(max_size=120))
def test_any_answer_is_read_without_an_exception(payload):
    list(elem.raw_elements(Reply(12, 0, 1, 2, payload)))


def test_keys_are_told_with_what_closes_an_interval_whatever_else_an_entry_has():
    first, last = bytes([198, 51, 100, 0]), bytes([198, 51, 101, 0])
    entries = [
        elem.element(first),
        elem.end_element(last),
        elem.element(last, 1000, elem.element_expressions(expr.counter())),
        nest(1, be32(3, 2), be64(4, 1000)),  # NFT_SET_ELEM_CATCHALL
    ]
    start, end = 0xC6336400, 0xC6336500
    expected = [(start, False), (end, True), (end, False), (0, False)]
    assert expected == list(elem.keys_of(b"".join(entries)))
    assert expected[:3] == list(elem.keys_of(b"".join(entries)[:-5]))
