"""What is scored, and why, over the socket."""

import pytest


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["203.0.113.7/32", "203.0.113.0/24", "198.51.100.9/32"]),
        ("?kind=client", ["203.0.113.7/32", "198.51.100.9/32"]),
        ("?kind=subnet", ["203.0.113.0/24"]),
        ("?limit=2", ["203.0.113.7/32", "203.0.113.0/24"]),
    ],
)
def test_sources_are_clients_and_subnets_highest_first(served, query, expected):
    assert expected == [s["name"] for s in served.ask("GET", f"/v1/sources{query}")[2]["sources"]]


@pytest.mark.parametrize("path", ["203.0.113.7", "203.0.113.7/32", "203.0.113.7%2F32"])
def test_a_source_is_explained_with_numbers_and_decisions(served, path):
    status, _, view = served.ask("GET", f"/v1/sources/{path}")
    assert 200 == status
    assert ("client", "203.0.113.7/32", 61.25, 20.0, 0.05) == (
        view["kind"],
        view["name"],
        view["score"],
        view["inherited"],
        view["honest_share"],
    )
    assert ["d1"] == [d["id"] for d in view["decisions"]]
    assert 4120.0 == view["features"]["requests_1h"]
    assert [
        {
            "rule": "volume.flood",
            "family": "volume",
            "points": 41.25,
            "fired_ts": 995.0,
            "about": "Far more requests than others.",
            "experimental": False,
            "numbers": [{"feature": "requests_1h", "value": 4120.0, "threshold": 1800.5}],
        }
    ] == view["evidence"]


@pytest.mark.parametrize("path", ["2001:db8:1::/64", "2001%3Adb8%3A1%3A%3A%2F64"])
def test_a_source_may_be_of_either_family_and_written_either_way(served, path):
    assert "2001:db8:1::/64" == served.ask("GET", f"/v1/sources/{path}")[2]["name"]


def test_accounts_are_listed_and_explained(served):
    assert ["acct-9"] == [a["name"] for a in served.ask("GET", "/v1/accounts")[2]["accounts"]]
    _, _, view = served.ask("GET", "/v1/accounts/acct-9")
    assert ("account", ["d2"]) == (view["kind"], [d["id"] for d in view["decisions"]])


@pytest.mark.parametrize("name", ["nobody", "ja4-stack", "203.0.113.7"])
def test_what_is_no_account_is_not_found_among_them(served, name):
    assert 404 == served.ask("GET", f"/v1/accounts/{name}")[0]


def test_campaigns_are_listed_with_their_ledgers(served):
    listed = served.ask("GET", "/v1/campaigns")[2]["campaigns"]
    assert [("c-1", 60, 2_500_000)] == [
        (c["id"], c["members"], c["ledger"]["output_tokens_24h"]) for c in listed
    ]


def test_a_campaign_is_explained_as_other_kinds_are_and_with_its_members(served):
    _, _, view = served.ask("GET", "/v1/campaigns/c-1")
    assert ("campaign", "c-1", ["d2"]) == (
        view["kind"],
        view["name"],
        [d["id"] for d in view["decisions"]],
    )
    assert (["acct-9"], ["203.0.113.7/32"]) == (
        [m["account"] for m in view["accounts"]],
        [e["client"] for e in view["exits"]],
    )
    assert (60, 5_000) == (view["counts"]["accounts"], view["saved_output_tokens"])
