"""Clients that look like proxies, and proxies that nobody named."""

import pytest

from excise.config import Config
from excise.doctor.peers import check_peers, doubted, forwarders

PROXIES = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


@pytest.fixture
def behind(record):
    def make(count=600, **fields):
        return [record(n, client=PROXIES[n % 3], **({"unbelieved_hops": 1} | fields)) for n in
                range(count)]  # fmt: skip

    return make


def names(checks):
    return [check.name for check in checks]


def test_few_addresses_with_headers_that_nobody_vouches_for_are_doubted_and_named(behind, sample):
    checks = list(check_peers([sample(behind())], Config()))
    assert ["real IP", "trusted proxies"] == names(checks)
    assert "3 addresses carry 100% of requests" in checks[0].text
    assert "trusted_proxies: [192.0.2.1, 192.0.2.2, 192.0.2.3]" in checks[1].advice


def test_once_confirmed_there_is_no_doubt(behind, sample):
    checks = check_peers([sample(behind())], Config(confirm_peers=True))
    assert ["trusted proxies"] == names(checks)


def test_many_clients_who_make_headers_up_are_not_named(record):
    records = [record(n, client=f"203.0.113.{n % 90}", unbelieved_hops=1) for n in range(600)]
    assert (None, "") == (forwarders(records), doubted(records))


def test_clients_of_their_own_raise_no_doubt(record, sample):
    records = [record(n, client=f"203.0.113.{n % 90}") for n in range(600)]
    assert [] == list(check_peers([sample(records), sample()], Config()))


def test_requests_through_a_believed_proxy_are_told_to_be_out_of_the_kernels_reach(record, sample):
    records = [record(n, client=f"203.0.113.{n % 90}", peer="192.0.2.1") for n in range(600)]
    (check,) = check_peers([sample(records)], Config())
    assert "100% of requests came through a proxy" in check.text
