"""Who is the client behind proxies."""

from __future__ import annotations

import pytest

from excise.decode.trust import FORWARDED, MAX_HOPS, UNTOLD, Told, TrustedProxies, parse_networks
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


@pytest.mark.parametrize(
    ("about", "told", "expected"),
    [
        ("Forwarded", Told(NEAR, forwarded="for=203.0.113.9"), ("203.0.113.9", NEAR)),
        (
            "Forwarded, as RFC 7239 writes v6",
            Told(NEAR, forwarded='for=192.0.2.66;proto=http, For="[2001:db8::9]:4711";by=_x'),
            ("2001:db8::9", NEAR),
        ),
        ("an obfuscated hop", Told(NEAR, forwarded="for=203.0.113.9, for=_hidden"), (NEAR, "")),
        ("an unknown hop", Told(NEAR, forwarded="for=203.0.113.9, for=unknown"), (NEAR, "")),
        (
            "a quote left open swallows nothing",
            Told(NEAR, forwarded='for="192.0.2.66, for=203.0.113.9'),
            ("203.0.113.9", NEAR),
        ),
        ("two for in one element", Told(NEAR, forwarded="for=192.0.2.1;for=192.0.2.2"), (NEAR, "")),
        (
            "X-Forwarded-For goes first, a client may have sent the other",
            Told(NEAR, forwarded_for="203.0.113.9", forwarded="for=192.0.2.66"),
            ("203.0.113.9", NEAR),
        ),
        ("PROXY protocol", Told(NEAR, proxy_protocol="203.0.113.9"), ("203.0.113.9", NEAR)),
        (
            "PROXY protocol of a proxy, then its header",
            Told(NEAR, proxy_protocol=FAR, forwarded_for="192.0.2.66, 203.0.113.9"),
            ("203.0.113.9", NEAR),
        ),
        (
            "PROXY protocol of a client: its header says nothing",
            Told(NEAR, proxy_protocol="203.0.113.9", forwarded_for="192.0.2.66"),
            ("203.0.113.9", NEAR),
        ),
        ("PROXY protocol untrusted", Told("192.0.2.7", proxy_protocol=FAR), ("192.0.2.7", "")),
        (
            "a unix socket is nobody unless trusted",
            Told("unix:", forwarded_for="192.0.2.9"),
            ("", ""),
        ),
        ("mapped v4", Told(NEAR, forwarded_for="::ffff:203.0.113.9"), ("203.0.113.9", NEAR)),
        (
            "mapped v4, a port",
            Told(NEAR, forwarded_for="::ffff:203.0.113.9:5"),
            ("203.0.113.9", NEAR),
        ),
        ("behind somebody", Told("192.0.2.7", behind=True), ("192.0.2.7", UNTOLD)),
        ("only a header", Told("", forwarded_for="192.0.2.66, 203.0.113.9"), ("203.0.113.9", "")),
        ("nothing at all", Told(""), ("", "")),
    ],
)
def test_find(about, told, expected):
    assert expected == PROXIES.find(told), about


@pytest.mark.parametrize(
    ("about", "told", "expected"),
    [
        (
            "a unix socket",
            Told("unix:", forwarded_for="192.0.2.66, 203.0.113.9"),
            ("203.0.113.9", ""),
        ),
        (
            "a hop behind it",
            Told("unix:", forwarded_for=f"203.0.113.9, {NEAR}"),
            ("203.0.113.9", NEAR),
        ),
        ("loopback", Told("127.0.0.1", forwarded_for="203.0.113.9"), ("203.0.113.9", "")),
        ("v6 loopback", Told("::1", forwarded_for=f"203.0.113.9, {NEAR}"), ("203.0.113.9", NEAR)),
        ("loopback alone", Told("127.0.0.1"), ("127.0.0.1", "")),
        ("a unix socket that says nothing", Told("unix:"), ("", "")),
    ],
)
def test_a_proxy_on_this_host_has_no_packets_to_see(about, told, expected):
    networks = parse_networks(["198.51.100.0/24", "127.0.0.0/8", "::1"])
    assert expected == TrustedProxies(networks, unix=True).find(told), about


def test_only_the_header_that_proxies_write_is_believed():
    told = Told(NEAR, forwarded_for="192.0.2.66", forwarded="for=203.0.113.9")
    proxies = TrustedProxies(parse_networks(["198.51.100.0/24"]), header=FORWARDED)
    assert ("203.0.113.9", NEAR) == proxies.find(told)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (Told("192.0.2.7", forwarded_for="203.0.113.9"), 1),
        (Told("192.0.2.7", forwarded_for="203.0.113.9, 203.0.113.8"), 2),
        (Told("192.0.2.7", forwarded="for=203.0.113.9"), 1),
        (Told("192.0.2.7", forwarded_for="192.0.2.7"), 0),
        (Told(NEAR, forwarded_for="203.0.113.9"), 0),
        (Told("192.0.2.7"), 0),
    ],
)
def test_hops_that_are_not_believed_are_counted(told, expected):
    assert expected == PROXIES.unbelieved(told)
