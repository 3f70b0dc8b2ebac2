"""Messages as bytes. Golden bytes are laid out as in linux/netlink.h, little-endian."""

import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from excise.enforce import nft_wire as wire
from excise.enforce.nft_wire import Message, Msg, Nlm

little = pytest.mark.skipif(sys.byteorder != "little", reason="golden bytes are little-endian")


@little
def test_attributes_are_length_type_payload_padded_to_four():
    assert "0b000100 65786369736500 00".replace(" ", "") == wire.text(1, "excise").hex()
    assert "08000200 00000006".replace(" ", "") == wire.be32(2, 6).hex()
    assert "08000200 fffffffc".replace(" ", "") == wire.be32(2, -4).hex()
    assert "0c000400 0000000000000258".replace(" ", "") == wire.be64(4, 600).hex()
    assert "0c000180 0500010061000000".replace(" ", "") == wire.nest(1, wire.attr(1, b"a")).hex()


@little
def test_a_transaction_is_framed_by_begin_and_end_and_acknowledged_at_its_last_message():
    table = Message(Msg.NEWTABLE, 2, wire.text(1, "t"), Nlm.CREATE)
    chain = Message(Msg.NEWCHAIN, 10, wire.text(1, "t"), Nlm.CREATE)
    expected = (
        "14000000 1000 0100 05000000 00000000 00 00 000a"  # BATCH_BEGIN, res_id NFTABLES
        "1c000000 000a 0104 06000000 00000000 02 00 0000 06000100 74000000"
        "1c000000 030a 0504 07000000 00000000 0a 00 0000 06000100 74000000"  # ACK
        "14000000 1100 0100 08000000 00000000 00 00 000a"  # BATCH_END
    ).replace(" ", "")
    assert expected == wire.frame(wire.batch([table, chain]), 5).hex()


def test_asking_for_the_generation_is_no_batch_mark_although_both_are_sixteen():
    (data,) = [wire.frame([Message(Msg.GETGEN, 0, b"")], 1)]
    assert wire.SUBSYSTEM << 8 | 16 == struct.unpack_from("=H", data, 4)[0]


def test_a_datagram_of_several_messages_comes_apart_again():
    messages = [
        Message(Msg.NEWTABLE, 2, wire.text(1, "a")),
        Message(Msg.NEWSET, 10, wire.text(1, "bb")),
    ]
    replies = list(wire.unframe(wire.frame(messages, 7)))
    assert [(0, 7, 2), (9, 8, 10)] == [(r.type, r.sequence, r.family) for r in replies]
    assert [{1: b"a\0"}, {1: b"bb\0"}] == [wire.parse(r.payload) for r in replies]


def error(code, words=""):
    told = wire.text(1, words) if words else b""
    body = struct.pack("=i", -code) + bytes(wire.HEADER.size) + told
    return wire.HEADER.pack(wire.HEADER.size + len(body), 2, 0, 9, 0) + body


@pytest.mark.parametrize(("code", "words"), [(0, ""), (1, ""), (95, "Table is not supported")])
def test_an_error_carries_its_number_and_the_kernels_words(code, words):
    (reply,) = wire.unframe(error(code, words))
    assert wire.KernelError(code, words) == wire.kernel_error(reply)


@given(st.binary(max_size=200))
def test_any_bytes_come_apart_without_an_exception(data):
    for reply in wire.unframe(data):
        wire.kernel_error(reply)
        wire.walk(reply.payload)


@given(st.lists(st.tuples(st.integers(1, 40), st.binary(max_size=20)), max_size=8))
def test_attributes_come_back_as_they_were_packed(pairs):
    assert pairs == wire.walk(b"".join(wire.attr(kind, body) for kind, body in pairs))
