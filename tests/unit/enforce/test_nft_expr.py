"""Expressions as the kernel's nft_expr_attributes lay them out."""

import struct

from excise.enforce import nft_expr as expr
from excise.enforce.nft_wire import parse, walk


def opened(packed):
    """Return (name, attributes) of one packed expression."""
    ((kind, body),) = walk(packed)
    assert kind == 1  # NFTA_LIST_ELEM
    fields = parse(body)
    return fields[1].rstrip(b"\0").decode(), parse(fields[2])


def number(value):
    return struct.pack("!I", value)


def test_payload_names_register_base_offset_and_length():
    assert ("payload", {1: number(1), 2: number(1), 3: number(12), 4: number(4)}) == opened(
        expr.payload(1, 12, 4)
    )


def test_a_limit_matches_what_is_over_it():
    name, fields = opened(expr.limit_over(51_200, 1, 16_384, in_bytes=True))
    assert name == "limit"
    assert {
        1: struct.pack("!Q", 51_200),
        2: struct.pack("!Q", 1),
        3: number(16_384),
        4: number(1),  # NFT_LIMIT_PKT_BYTES
        5: number(1),  # NFT_LIMIT_F_INV
    } == fields


def test_a_goto_names_its_chain():
    name, fields = opened(expr.verdict(-4, "cut"))
    assert name == "immediate"
    assert {1: struct.pack("!i", -4), 2: b"cut\0"} == parse(parse(fields[2])[2])


def test_a_lookup_names_its_set_and_register():
    assert ("lookup", {1: b"block\0", 2: number(1)}) == opened(expr.lookup("block"))


def test_a_mask_keeps_its_bits_and_flips_none():
    name, fields = opened(expr.mask(b"\x17"))
    assert name == "bitwise"
    assert ({1: b"\x17"}, {1: b"\0"}) == (parse(fields[4]), parse(fields[5]))
