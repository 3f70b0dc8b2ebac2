"""Two inputs that tell of the same requests."""

import pytest

from excise.doctor.check import State
from excise.doctor.twice import check_twice, overlap


@pytest.fixture
def requests(record):
    def make(count=20, first=0, **fields):
        clients = [f"203.0.113.{n % 7}" for n in range(first, first + count)]
        return [record(n, **({"client": clients[n - first]} | fields)) for n in
                range(first, first + count)]  # fmt: skip

    return make


def test_a_gateways_log_and_a_taps_of_the_same_requests_are_found(requests, sample):
    gateway = sample(requests(path="/v1/chat/completions"), "gateway.log")
    tap = sample([r.__class__(ts=r.ts - 0.2, client=r.client) for r in requests()], "tap.log")
    (check,) = check_twice([gateway, sample(name="empty.log"), tap])
    assert (State.WARN, "counted twice") == (check.state, check.name)
    assert "gateway.log and tap.log tell of the same requests: 20 of 20 agree" in check.text


def test_request_ids_are_enough_though_the_clients_differ(requests, record):
    one = [record(n, request_id=f"r{n}") for n in range(20)]
    other = [record(n + 500, request_id=f"r{n}", client="192.0.2.1") for n in range(10, 20)]
    found = overlap(one, other)
    assert ("request_id", 10, 10, True) == (found.by, found.common, found.of, found.same)


@pytest.mark.parametrize(
    "changes",
    [
        {"client": "192.0.2.1"},
        {"first": 100},
        {"path": "/v2/else"},
        {"count": 4},
    ],
    ids=["other clients", "other times", "other paths", "too few"],
)
def test_other_requests_are_no_doubles(requests, changes):
    assert not overlap(requests(path="/v1/x"), requests(**({"path": "/v1/x"} | changes))).same


def test_a_request_is_paired_once(record):
    busy = [record(0.01 * n) for n in range(100)]
    calm = [record(0.2 * n) for n in range(5)]
    found = overlap(busy, calm)
    assert (5, 5) == (found.common, found.of)
    assert 5 == overlap(calm, [*calm, *calm]).common
