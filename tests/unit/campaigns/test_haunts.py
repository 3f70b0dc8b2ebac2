"""Where accounts are found within a day: how many places, and whether one of them is a home."""

import numpy as np
import pytest

from excise.campaigns.haunts import haunts
from excise.model.asns import AsnTable, ranges
from excise.model.record import Record


@pytest.fixture
def found(seen, start):
    """Return what is found of accounts that sent one request a minute from these addresses."""

    def look(*accounts, ago_s=0.0, asns=None):
        asked = [
            Record(
                ts=start + 60.0 * i,
                client=client,
                account=f"a{number}",
                input_tokens=90,
                output_tokens=300,
                status=200,
            )
            for number, clients in enumerate(accounts)
            for i, client in enumerate(clients)
        ]
        world, now = seen(asked)
        world.directory.asns = asns
        names = [world.accounts.rows[f"a{number}"] for number in range(len(accounts))]
        return haunts(world, np.array(names), now + ago_s)

    return look


@pytest.mark.parametrize(
    ("clients", "places", "shares"),
    [
        (["192.0.2.1"] * 9, (1, 1), (1.0, 1.0)),
        # three addresses are not looked at, whosever they are
        (["192.0.2.1", "198.51.100.1", "203.0.113.1"], (3, 1), (1.0, 1.0)),
        ([f"192.0.2.{i % 5}" for i in range(10)], (5, 1), (1.0, 0.2)),
        ([f"2001:db8:{i:x}::1" for i in range(8)], (8, 1), (1.0, 0.125)),
        (
            ["192.0.2.1"] * 2 + ["192.0.2.2"] * 3 + ["198.51.100.1"] * 3 + ["203.0.113.1"] * 2,
            (4, 3),
            (0.5, 0.3),
        ),
        (["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1"] * 3, (4, 4), (0.25, 0.25)),
        # hosts of one /64 are one address
        (["2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2", "192.0.2.3"], (4, 2), (0.6, 0.4)),
    ],
    ids=str,
)
def test_places_are_counted_and_the_main_one_has_its_share(found, clients, places, shares):
    """Places are addresses and networks; shares are those of the main network and address."""
    of = found(clients)

    assert pytest.approx(places, rel=0.05) == (of.addresses[0], of.networks[0])
    assert pytest.approx(shares, rel=0.01) == (of.home[0], of.desk[0])


def test_accounts_are_told_apart_at_the_same_addresses(found):
    many = [f"192.0.2.{i}" for i in range(6)]
    of = found(many, many[:4] + ["192.0.2.0"] * 4)

    assert [pytest.approx(1 / 6, rel=0.02), pytest.approx(5 / 8, rel=0.02)] == of.desk.tolist()


def test_what_was_a_day_ago_is_no_place_any_more(found):
    of = found(["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1"], ago_s=90_000.0)

    assert ([1.0], [1.0]) == (of.networks.tolist(), of.home.tolist())


def test_a_carriers_networks_are_one_where_a_table_says_so(found):
    carrier = AsnTable(ranges([(192 << 24, (199 << 24) - 1, 64500)]), ranges([]))
    asked = ["192.0.2.1", "198.51.100.1", "203.0.113.1", "203.0.113.2"]
    without, with_table = found(asked), found(asked, asns=carrier)

    assert ([3.0], [2.0]) == (without.networks.tolist(), with_table.networks.tolist())
