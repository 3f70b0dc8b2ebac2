"""Addresses have one spelling."""

from __future__ import annotations

import pytest

from excise.decode.address import Addresses, canonical, hop


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("0.0.0.0", "0.0.0.0"),
        ("255.255.255.255", "255.255.255.255"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::FFFF:c000:0207", "192.0.2.7"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("2001:db8::", "2001:db8::"),
        ("", ""),
        ("192.0.2", ""),
        ("192.0.2.256", ""),
        ("192.0.2.07", ""),
        ("192.0.2.7\n", ""),
        (" 192.0.2.7", ""),
        ("192.0.2.7/32", ""),
        ("١٩٢.0.2.7", ""),
        ("3221225991", ""),
        ("fe80::1%eth0", ""),
        ("2001:db8::1::2", ""),
        ("[2001:db8::1]", ""),
        ("unknown", ""),
        ("a" * 100_000, ""),
    ],
)
def test_canonical(text, expected):
    assert expected == canonical(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        (" \t192.0.2.7 ", "192.0.2.7"),
        ("192.0.2.7:4711", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[::ffff:192.0.2.7]:443", "192.0.2.7"),
        ("[192.0.2.7]", ""),
        ("192.0.2.7:", ""),
        ("192.0.2.7:123456", ""),
        ("[2001:db8::1]443", ""),
        ("unknown", ""),
        ("_hidden", ""),
        ("", ""),
    ],
)
def test_hop(text, expected):
    assert expected == hop(text)


def test_a_full_cache_still_answers():
    addresses = Addresses(size=2)
    texts = [f"192.0.2.{i}" for i in range(9)] + ["junk", "2001:DB8::1"]
    assert [*texts[:9], "", "2001:db8::1"] == addresses.canonical_all(texts)
