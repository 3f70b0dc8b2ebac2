"""Expressions: what rules and elements are made of (nft_expr_attributes), as bytes. Pure."""

from __future__ import annotations

from excise.enforce.nft_wire import attr, be32, be64, nest, text


def expression(name: str, *attributes: bytes) -> bytes:
    """Return one entry of an expression list (NFTA_LIST_ELEM)."""
    return nest(1, text(1, name), nest(2, *attributes))


def meta(key: int) -> bytes:
    """Load packet metadata (nft_meta_keys) into register 1."""
    return expression("meta", be32(2, key), be32(1, 1))


def payload(base: int, offset: int, length: int) -> bytes:
    """Load header bytes into register 1; base 1 is the network, 2 the transport header."""
    return expression("payload", be32(1, 1), be32(2, base), be32(3, offset), be32(4, length))


def compare(value: bytes, op: int = 0) -> bytes:
    """Go on if register 1 is equal (nft_cmp_ops 0) or greater (4)."""
    return expression("cmp", be32(1, 1), be32(2, op), nest(3, attr(1, value)))


def mask(bits: bytes) -> bytes:
    """AND register 1 with `bits`."""
    zero = bytes(len(bits))
    return expression(
        "bitwise",
        be32(1, 1),
        be32(2, 1),
        be32(3, len(bits)),
        nest(4, attr(1, bits)),
        nest(5, attr(1, zero)),
    )


def to_network_order() -> bytes:
    """Make a 32-bit number in register 1 big-endian, so that it compares (NFT_BYTEORDER_HTON)."""
    return expression("byteorder", be32(1, 1), be32(2, 1), be32(3, 1), be32(4, 4), be32(5, 4))


def set_meta(key: int) -> bytes:
    """Set packet metadata (nft_meta_keys) from register 1."""
    return expression("meta", be32(2, key), be32(3, 1))


def conntrack(key: int, direction: int | None = None) -> bytes:
    """Load what conntrack knows of the packet's connection (nft_ct_keys) into register 1."""
    way = b"" if direction is None else attr(3, bytes([direction]))
    return expression("ct", be32(1, 1), be32(2, key), way)


def look_up_value(map_name: str) -> bytes:
    """Replace register 1 by what a map holds for it; go on only if it holds something."""
    return expression("lookup", text(1, map_name), be32(2, 1), be32(3, 1))


def lookup(set_name: str) -> bytes:
    """Go on if register 1 is in the set, and the element's own expressions agree."""
    return expression("lookup", text(1, set_name), be32(2, 1))


def lookup_none(set_name: str) -> bytes:
    """Go on if register 1 is not in the set (NFT_LOOKUP_F_INV)."""
    return expression("lookup", text(1, set_name), be32(2, 1), be32(5, 1))


def verdict(code: int, chain: str = "") -> bytes:
    """End with NF_DROP 0 or NF_ACCEPT 1, or go to `chain`: NFT_JUMP -3, NFT_GOTO -4."""
    parts = [be32(1, code)] + ([text(2, chain)] if chain else [])
    return expression("immediate", be32(1, 0), nest(2, nest(2, *parts)))


def reject_with_reset() -> bytes:
    """Answer with a TCP reset (NFT_REJECT_TCP_RST)."""
    return expression("reject", be32(1, 1))


def reject_unreachable(version: int) -> bytes:
    """Answer with ICMP(v6) port unreachable (NFT_REJECT_ICMP_UNREACH)."""
    code = {4: 3, 6: 4}[version]  # ICMP_PORT_UNREACH, ICMPV6_PORT_UNREACH
    return expression("reject", be32(1, 0), attr(2, bytes([code])))


def limit_over(rate: int, per_s: int, burst: int, in_bytes: bool) -> bytes:
    """Match what exceeds `rate` bytes or packets per `per_s` seconds (NFT_LIMIT_F_INV)."""
    return expression(
        "limit", be64(1, rate), be64(2, per_s), be32(3, burst), be32(4, in_bytes), be32(5, 1)
    )


def counter() -> bytes:
    """Count bytes and packets from zero."""
    return expression("counter", be64(1, 0), be64(2, 0))
