"""Names become rows: once, in order, within bounds, and forgetting keeps the indexes whole."""

import ipaddress

import numpy as np
import pytest

from excise.features.directory import (
    ACCOUNT,
    CLIENT,
    LINK,
    MEMO,
    STACK,
    USE,
    Directory,
    client_bits,
    client_name,
    subnet_names,
)
from excise.model.entity import Kind
from excise.model.settings import Capacity

SMALL = Capacity(clients=64, subnets=64, accounts=64, uses=64, stacks=64, templates=64, links=64)


@pytest.fixture
def directory() -> Directory:
    return Directory(SMALL)


@pytest.mark.parametrize(
    ("address", "name", "subnets"),
    [
        ("203.0.113.7", "203.0.113.7/32", ["203.0.113.0/24"]),
        ("0.0.0.0", "0.0.0.0/32", ["0.0.0.0/24"]),
        ("255.255.255.255", "255.255.255.255/32", ["255.255.255.0/24"]),
        ("2001:db8:1:2ff::9", "2001:db8:1:2ff::/64", ["2001:db8:1:200::/56", "2001:db8:1::/48"]),
    ],
)
def test_a_client_is_a_v4_address_or_a_v6_64_in_the_subnets_of_its_family(address, name, subnets):
    version, bits = client_bits(address)
    assert name == client_name(version, bits)
    assert subnets == subnet_names(version, bits)


def test_the_same_names_have_the_same_rows_however_they_come(directory):
    key = ("203.0.113.7", "a", "t13", "tool/1")
    first, taken = directory.find([key, key])
    again, _ = directory.find([key])
    directory.clear_memo()
    anew, _ = directory.find([key])
    assert 2 == taken
    assert [first[0].tolist()] * 4 == [r.tolist() for r in (*first, again[0], anew[0])]


def test_two_hosts_of_one_v6_64_are_one_client(directory):
    rows, _ = directory.find([("2001:db8::1", "a", "", ""), ("2001:db8::2", "a", "", "")])
    assert rows[0, CLIENT] == rows[1, CLIENT]


def test_a_record_without_an_account_has_no_use_but_a_link(directory):
    rows, _ = directory.find([("203.0.113.7", "", "t13", "tool/1")])
    assert (0, 0) == (rows[0, ACCOUNT], rows[0, USE])
    assert rows[0, STACK] > 0
    assert rows[0, LINK] > 0


def test_an_account_through_two_programs_is_two_uses(directory):
    rows, _ = directory.find([("203.0.113.7", "a", "", p) for p in ("tool/1", "tool/2")])
    assert sorted(rows[:, USE].tolist()) == sorted(directory.uses_of(int(rows[0, ACCOUNT])))
    assert "a via tool/2" == directory.name(Kind.USE, int(rows[1, USE]))


def test_a_full_table_takes_what_there_is_room_for(directory):
    room = directory.room()
    keys = [(f"198.51.100.{i}", "", "", "") for i in range(100)]
    rows, taken = directory.find(keys)
    assert len(rows) == taken
    assert room <= taken < len(keys)


def test_dropping_uses_takes_their_links_and_their_place_with_the_account(directory):
    rows, _ = directory.find([("203.0.113.7", "a", "", "tool/1")])
    use, account = int(rows[0, USE]), int(rows[0, ACCOUNT])
    directory.drop_uses(np.array([use]))
    assert [] == directory.uses_of(account)
    assert [] == directory.links.of_use(use).tolist()


def test_clients_are_found_by_the_network_around_them(directory):
    addresses = ["203.0.113.7", "203.0.113.200", "198.51.100.1", "2001:db8::1"]
    rows, _ = directory.find([(a, "", "", "") for a in addresses])
    inside = directory.inside(ipaddress.ip_network("203.0.113.0/24"))
    assert sorted(rows[:2, CLIENT].tolist()) == sorted(inside.tolist())
    inside = directory.inside(ipaddress.ip_network("2001:db8::/32"))
    assert rows[3:, CLIENT].tolist() == inside.tolist()


def test_the_memo_is_bounded_and_its_end_changes_no_row(directory, monkeypatch):
    monkeypatch.setattr("excise.features.directory.MEMO", 2)
    assert MEMO > 2
    key = ("203.0.113.7", "a", "", "tool/1")
    before, _ = directory.find([key])
    directory.find([("203.0.113.8", "a", "", "tool/1"), ("203.0.113.9", "a", "", "tool/1")])
    after, _ = directory.find([key])
    assert before.tolist() == after.tolist()
