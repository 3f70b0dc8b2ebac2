"""Who asked: nobody is believed who need not be."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from excise.gateways.client import Origin, origin, parse_address, told
from excise.gateways.settings import LOOPBACK, TapSettings

LOCAL = TapSettings(path=None, trusted=tuple(map(ip_network, LOOPBACK)))
BALANCED = replace(LOCAL, trusted=(*LOCAL.trusted, ip_network("192.0.2.0/24")), only_local=False)
CLIENT = "203.0.113.7"
FORGED = "198.51.100.66"


@pytest.mark.parametrize(
    ("settings", "peer", "hops", "expected"),
    [
        # no gateway: the header is the client's own word
        (LOCAL, (CLIENT, 4711), "", Origin(CLIENT, port=4711)),
        (LOCAL, (CLIENT, 4711), FORGED, Origin(CLIENT, port=4711)),
        # a gateway on this host: the kernel sees whom it sees
        (LOCAL, ("127.0.0.1", 4711), CLIENT, Origin(CLIENT, gateway=True)),
        (LOCAL, ("::1", 4711), f"{FORGED}, {CLIENT}", Origin(CLIENT, gateway=True)),
        (LOCAL, None, CLIENT, Origin(CLIENT, gateway=True)),
        (LOCAL, ("127.0.0.1", 4711), "", Origin("127.0.0.1", port=4711)),
        (LOCAL, ("127.0.0.1", 4711), "unknown", Origin("127.0.0.1", port=4711)),
        (LOCAL, None, "", Origin()),
        # a balancer before the gateway on this host: the kernel sees the balancer
        (BALANCED, ("127.0.0.1", 1), f"{CLIENT}, 192.0.2.1",
         Origin(CLIENT, "192.0.2.1", gateway=True)),
        # a gateway elsewhere
        (BALANCED, ("192.0.2.1", 4711), f"{FORGED}, {CLIENT}",
         Origin(CLIENT, "192.0.2.1", gateway=True)),
        (BALANCED, ("192.0.2.1", 4711), f"{FORGED}, {CLIENT}, 192.0.2.9",
         Origin(CLIENT, "192.0.2.1", gateway=True)),
        (LOCAL, ("192.0.2.1", 4711), CLIENT, Origin("192.0.2.1", port=4711)),
        # uvicorn has walked already, and put port 0 there
        (LOCAL, (CLIENT, 0), f"{FORGED}, {CLIENT}", Origin(CLIENT, gateway=True)),
        (BALANCED, (CLIENT, 0), CLIENT, Origin(CLIENT, "0.0.0.0", gateway=True)),
        # what is no address
        (LOCAL, ("testclient", 50_000), "", Origin()),
    ],
)  # fmt: skip
def test_a_request_comes_from(settings, peer, hops, expected):
    assert expected == origin(peer, {"x-forwarded-for": hops}, settings)


def test_a_very_long_list_of_hops_is_not_walked_to_its_end():
    hops = ", ".join([CLIENT, *["192.0.2.1"] * 10_000])
    assert "192.0.2.1" == origin(("127.0.0.1", 1), {"x-forwarded-for": hops}, BALANCED).client


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        (" 192.0.2.7:4711 ", "192.0.2.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::1"),
        ("unknown", "None"),
        ("", "None"),
    ],
)
def test_an_address_is_read(text, expected):
    assert expected == str(parse_address(text))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-excise-tls": "tls1.3"}, {"tls": "TLSv1.3"}),
        ({"x-excise-tls": "TLSv1.2", "x-excise-sni": "a.example"},
         {"tls": "TLSv1.2", "sni": "a.example"}),
        ({"x-excise-client-port": "4711", "x-excise-ja4": "t13d"},
         {"client_port": 4711, "ja4": "t13d"}),
        ({"x-excise-client-port": "99999999999"}, {}),
        ({"x-excise-client-port": "-1", "x-excise-alpn": ""}, {}),
        ({}, {}),
    ],
)  # fmt: skip
def test_a_gateway_tells(headers, expected):
    assert expected == told(headers)
