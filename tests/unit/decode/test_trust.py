"""Who is the client behind proxies."""

from __future__ import annotations

import pytest

from excise.decode.trust import MAX_HOPS, TrustedProxies, parse_networks
from excise.errors import InvalidError

PROXIES = TrustedProxies(parse_networks(["198.51.100.0/24", "2001:db8:ff::/48"]))
NEAR, FAR = "198.51.100.1", "198.51.100.2"


@pytest.mark.parametrize(
    ("about", "peer", "header", "expected"),
    [
        ("no header", "192.0.2.7", "", ("192.0.2.7", "")),
        ("a client's header is not believed", "192.0.2.7", "203.0.113.9", ("192.0.2.7", "")),
        ("one proxy", NEAR, "203.0.113.9", ("203.0.113.9", NEAR)),
        ("two proxies", NEAR, f"203.0.113.9, {FAR}", ("203.0.113.9", NEAR)),
        ("never the leftmost", NEAR, "192.0.2.66, 203.0.113.9", ("203.0.113.9", NEAR)),
        ("behind a forged proxy", NEAR, f"192.0.2.66, {FAR}, 203.0.113.9", ("203.0.113.9", NEAR)),
        ("v6 proxy", "2001:db8:ff::1", "2001:db8::9", ("2001:db8::9", "2001:db8:ff::1")),
        ("ports", NEAR, f"[2001:db8::9]:55, {FAR}:44", ("2001:db8::9", NEAR)),
        ("junk at once", NEAR, "203.0.113.9, unknown", (NEAR, "")),
        ("junk behind a good hop", NEAR, f"unknown, {FAR}", (FAR, NEAR)),
        ("an empty hop is junk", NEAR, "203.0.113.9,,", (NEAR, "")),
        ("all trusted", NEAR, f"{FAR}", (FAR, NEAR)),
        ("the proxy itself", NEAR, NEAR, (NEAR, "")),
    ],
)
def test_walk(about, peer, header, expected):
    assert expected == PROXIES.walk(peer, header), about


def test_nobody_is_trusted_by_default():
    assert (NEAR, "") == TrustedProxies(()).walk(NEAR, "203.0.113.9")


def test_an_endless_header_is_not_walked_to_its_end():
    header = ", ".join(["203.0.113.9"] + [FAR] * MAX_HOPS)
    assert (FAR, NEAR) == PROXIES.walk(NEAR, header)


@pytest.mark.parametrize("text", ["192.0.2.7/24", "cdn.example.net", ""])
def test_what_is_no_network_is_named(text):
    with pytest.raises(InvalidError, match=repr(text)):
        parse_networks([text])
