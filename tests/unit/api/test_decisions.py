"""Decisions and the allowlist over the socket."""

import pytest

from excise.errors import EnforceError, ExciseError, PrivilegeError, StoreError
from excise.model.decision import Action
from excise.model.step import Allow, Disallow, Lift, Place

FIRST = {
    "ts": 1000.0,
    "id": "d1",
    "plane": "network",
    "target": "203.0.113.7/32",
    "action": "throttle",
    "tier": "crawl",
    "since": 1000.0,
    "until": 1900.0,
    "score": 61.25,
    "rules": ["volume.flood"],
    "reason": "It asks for far more than others do.",
    "origin": "rules",
    "wanted": 3,
    "strikes": 0,
    "forced": False,
    "dropped": {
        "packets": 7,
        "bytes": 10_240,
        "measures": {"egress": {"packets": 7, "bytes": 10_240}},
        "counted_ts": 1000.0,
    },
}


def test_a_decision_is_the_object_of_the_stream_without_op(served):
    assert FIRST == served.ask("GET", "/v1/decisions/d1")[2]


def test_a_campaign_a_tier_and_counters_are_absent_where_there_are_none(served):
    _, _, other = served.ask("GET", "/v1/decisions/d2")
    assert "tier" not in other
    assert "dropped" not in other
    assert "c1" == other["campaign"]
    assert "campaign" not in FIRST


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["d1", "d2"]),
        ("?plane=network", ["d1"]),
        ("?plane=account", ["d2"]),
        ("?action=deny", ["d2"]),
        ("?target=acct-9", ["d2"]),
        ("?target=203.0.113.7", ["d1"]),
        ("?target=203.0.113.7%2F32&plane=network", ["d1"]),
        ("?target=203.0.113.7&plane=account", []),
        ("?campaign=c1", ["d2"]),
    ],
)
def test_every_filter_given_must_hold(served, query, expected):
    assert expected == [d["id"] for d in served.ask("GET", f"/v1/decisions{query}")[2]["decisions"]]


def test_an_operators_decision_is_placed_and_answered(served):
    wish = {"target": "203.0.113.9", "action": "drop", "for": "1h30m", "reason": " by hand "}
    status, _, made = served.ask("POST", "/v1/decisions", wish)
    assert 201 == status
    assert ("203.0.113.9/32", "drop", "operator", 6400.0) == (
        made["target"],
        made["action"],
        made["origin"],
        made["until"],
    )
    placed = Place("203.0.113.9/32", Action.DROP, None, 5400.0, "by hand", force=False)
    assert [placed] == served.control.submitted


def test_a_throttle_names_its_tier_and_force_is_passed_on(served):
    wish = {
        "target": "2001:DB8::/48",
        "action": "throttle",
        "tier": "slow",
        "for": "90s",
        "reason": "why",
        "force": True,
    }
    assert 201 == served.ask("POST", "/v1/decisions", wish)[0]
    placed = Place("2001:db8::/48", Action.THROTTLE, "slow", 90.0, "why", force=True)
    assert [placed] == served.control.submitted


@pytest.mark.parametrize(
    "change",
    [
        {"for": "soon"},
        {"for": 3600},
        {"reason": " "},
        {"reason": None},
        {"target": ""},
        {"action": "ban"},
        {"action": "deny"},
        {"target": "acct-9"},
        {"speed": 1},
        {"force": "yes"},
    ],
)
def test_a_wish_that_makes_no_sense_changes_nothing(served, change):
    wish = {"target": "203.0.113.9", "action": "drop", "for": "1h", "reason": "by hand"}
    assert 422 == served.ask("POST", "/v1/decisions", wish | change)[0]
    assert [] == served.control.submitted


def test_a_protected_address_is_refused_with_the_reason(served):
    wish = {"target": "192.0.2.1", "action": "drop", "for": "1h", "reason": "by hand"}
    status, _, problem = served.ask("POST", "/v1/decisions", wish)
    assert (409, "urn:excise:problem:refused") == (status, problem["type"])
    assert "192.0.2.1/32 is this host's own address" == problem["detail"]


@pytest.mark.parametrize(
    ("fault", "status", "word"),
    [
        (EnforceError("the kernel did not take it"), 503, "enforcer"),
        (PrivilegeError("no CAP_NET_ADMIN"), 503, "enforcer"),
        (StoreError("disk full"), 503, "store"),
        (ExciseError("something else"), 500, "failed"),
    ],
)
def test_a_failure_behind_the_api_has_its_own_status(served, fault, status, word):
    served.control.fault = fault
    got, _, problem = served.ask("DELETE", "/v1/decisions/d1")
    assert (status, f"urn:excise:problem:{word}", str(fault)) == (
        got,
        problem["type"],
        problem["detail"],
    )


def test_a_defect_is_answered_without_its_traceback(served):
    served.control.fault = ZeroDivisionError("secret detail")
    status, headers, problem = served.ask("DELETE", "/v1/decisions/d1")
    assert (500, "application/problem+json") == (status, headers["Content-Type"])
    assert "urn:excise:problem:defect" == problem["type"]
    assert "secret" not in str(problem)
    ((level, event, told),) = served.control.log.told
    assert ("error", "api.failed") == (level, event)
    assert "ZeroDivisionError: secret detail" in told["trace"]


def test_a_decision_is_lifted_by_id(served):
    status, _, answer = served.ask("DELETE", "/v1/decisions/d1")
    assert (200, ["d1"]) == (status, [d["id"] for d in answer["lifted"]])
    assert [Lift(id="d1")] == served.control.submitted
    assert 404 == served.ask("DELETE", "/v1/decisions/d1")[0]


def test_a_target_is_lifted_by_address(served):
    status, _, answer = served.ask("DELETE", "/v1/decisions?target=203.0.113.7")
    assert (200, ["d1"]) == (status, [d["id"] for d in answer["lifted"]])
    assert [Lift(target="203.0.113.7/32")] == served.control.submitted


@pytest.mark.parametrize("cidr", ["198.51.100.0%2F24", "198.51.100.0/24", "198.51.100.7/24"])
def test_a_network_is_allowed_and_taken_back(served, cidr):
    status, _, answer = served.ask("PUT", f"/v1/allow/{cidr}", {"for": "1h"})
    added = {"cidr": "198.51.100.0/24", "origin": "operator", "until": 4600.0}
    assert (200, added) == (status, answer["allow"][-1])
    assert [added] == served.ask("GET", "/v1/allow")[2]["allow"][1:]
    assert 200 == served.ask("DELETE", f"/v1/allow/{cidr}")[0]
    assert [
        Allow("198.51.100.0/24", 3600.0),
        Disallow("198.51.100.0/24"),
    ] == served.control.submitted


def test_a_network_is_allowed_for_good_without_a_body(served):
    assert 200 == served.ask("PUT", "/v1/allow/2001:db8::1")[0]
    assert [Allow("2001:db8::1/128", None)] == served.control.submitted


def test_what_is_no_network_cannot_be_allowed(served):
    assert 422 == served.ask("PUT", "/v1/allow/acct-9")[0]
