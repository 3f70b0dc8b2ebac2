"""Which places are of one network, with and without a table of autonomous systems."""

import ipaddress

import numpy as np
import pytest

from excise.features.networks import networks, unrelated
from excise.model.asns import AsnTable, ranges

#: a carrier has two /16s of v4 and two /32s of v6; another has one /24
CARRIER, OTHER = 64500, 64501


def number(address):
    found = ipaddress.ip_address(address)
    return int(found) if found.version == 4 else int(found) >> 64


def block(cidr, asn):
    net = ipaddress.ip_network(cidr)
    return number(net[0]), number(net[-1]), asn


TABLE = AsnTable(
    ranges([block("198.51.0.0/16", CARRIER), block("203.0.113.0/24", CARRIER)]),
    ranges([block("2001:db8::/32", CARRIER), block("2001:db9::/32", OTHER)]),
)


def places(*addresses):
    found = [number(a) << 1 | (":" in a) for a in addresses]
    return np.array(found, dtype=np.uint64)


@pytest.mark.parametrize(
    ("here", "there", "without", "with_table"),
    [
        ("192.0.2.1", "192.0.99.1", False, False),
        ("192.0.2.1", "198.51.100.1", True, True),
        ("198.51.100.1", "203.0.113.9", True, False),
        ("198.51.100.1", "2001:db8::", True, False),
        ("2001:db8:1::", "2001:db8:ffff::", False, False),
        ("2001:db8::", "2001:db9::", True, True),
        # in no system of the table: the /16 decides
        ("192.0.2.1", "203.0.114.1", True, True),
    ],
)
def test_one_carriers_networks_are_related_where_the_table_says_so(
    here, there, without, with_table
):
    a, b = places(here), places(there)

    assert [without] == unrelated(a, b, None).tolist()
    assert [with_table] == unrelated(a, b, TABLE).tolist()


def test_networks_of_different_kinds_never_share_a_number():
    """A system, a v4 /16 and a v6 /32 with the same bits."""
    low = AsnTable(ranges([block("192.0.2.0/24", 1)]), ranges([]))
    found = networks(places("192.0.2.1", "0.1.0.0", "0:1::", "192.0.3.1"), low)

    assert 4 == len(set(found.tolist()))


def test_networks_of_one_system_share_their_number():
    found = networks(places("198.51.100.1", "203.0.113.1", "2001:db8::", "2001:db9::"), TABLE)

    assert [1, 1, 1, 0] == (found == found[0]).astype(int).tolist()
