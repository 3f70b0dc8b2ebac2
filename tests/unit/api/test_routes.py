"""The table of routes: contract 5, and the OpenAPI document that is built from it."""

import re

import pytest

from excise.api.access import Right
from excise.api.routes import ROUTES

CONTRACT = {
    ("GET", "/v1/status"),
    ("GET", "/v1/decisions"),
    ("GET", "/v1/decisions/{id}"),
    ("POST", "/v1/decisions"),
    ("DELETE", "/v1/decisions/{id}"),
    ("DELETE", "/v1/decisions"),
    ("GET", "/v1/sources"),
    ("GET", "/v1/sources/{cidr}"),
    ("GET", "/v1/accounts/{id}"),
    ("GET", "/v1/campaigns"),
    ("GET", "/v1/campaigns/{id}"),
    ("GET", "/v1/allow"),
    ("PUT", "/v1/allow/{cidr}"),
    ("DELETE", "/v1/allow/{cidr}"),
    ("GET", "/v1/rules"),
    ("POST", "/v1/reload"),
    ("GET", "/v1/posture"),
    ("PUT", "/v1/posture"),
    ("POST", "/v1/records"),
    ("GET", "/v1/events"),
    ("GET", "/metrics"),
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/openapi.json"),
}


def plain(path):
    return re.sub(r"\{(\w+)[^}]*\}", r"{\1}", path)


def test_every_route_of_the_contract_is_there():
    assert set() == CONTRACT - {(row.method, plain(row.path)) for row in ROUTES}


def test_no_route_is_there_twice():
    assert len(ROUTES) == len({(row.method, row.path) for row in ROUTES})


def test_what_changes_something_takes_the_right_to_write():
    expected = {row.path: Right.WRITE if row.method != "GET" else row.right for row in ROUTES}
    assert expected == {row.path: row.right for row in ROUTES} | {
        row.path: Right.WRITE for row in ROUTES if row.method != "GET"
    }
    assert {"/livez", "/readyz"} == {row.path for row in ROUTES if row.right is Right.NONE}


def test_the_document_has_every_route_and_every_schema_it_names(served):
    status, _, document = served.ask("GET", "/openapi.json")
    assert 200 == status
    assert "3.1.0" == document["openapi"]
    paths = {(m.upper(), path) for path, methods in document["paths"].items() for m in methods}
    assert {(row.method, plain(row.path)) for row in ROUTES} == paths
    named = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert set() == named - set(document["components"]["schemas"])


def test_the_document_tells_path_query_and_body_apart(served):
    paths = served.ask("GET", "/openapi.json")[2]["paths"]
    listing = paths["/v1/decisions"]["get"]["parameters"]
    assert {
        ("plane", "query"),
        ("action", "query"),
        ("target", "query"),
        ("campaign", "query"),
    } == {(p["name"], p["in"]) for p in listing}
    allow = paths["/v1/allow/{cidr}"]["put"]
    assert [("cidr", "path", True)] == [
        (p["name"], p["in"], p["required"]) for p in allow["parameters"]
    ]
    body = allow["requestBody"]["content"]["application/json"]["schema"]
    assert ["for"] == list(body["properties"])
    place = paths["/v1/decisions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert {"target", "action", "for", "reason"} == set(place["required"])
    assert ["application/x-ndjson"] == list(paths["/v1/records"]["post"]["requestBody"]["content"])


@pytest.mark.parametrize(
    ("method", "path", "status", "word"),
    [
        ("GET", "/nothing", 404, "not-found"),
        ("PATCH", "/v1/status", 405, "method-not-allowed"),
        ("GET", "/v1/status?verbose=1", 422, "invalid"),
        ("GET", "/v1/decisions?plane=moon", 422, "invalid"),
        ("GET", "/v1/decisions?plane=network&plane=account", 422, "invalid"),
        ("GET", "/v1/sources?limit=0", 422, "invalid"),
        ("GET", "/v1/sources/nonsense", 422, "invalid"),
        ("GET", "/v1/sources/198.51.100.250", 404, "not-found"),
        ("GET", "/v1/decisions/none", 404, "not-found"),
        ("GET", "/v1/campaigns/c1", 404, "not-found"),
        ("DELETE", "/v1/decisions", 422, "invalid"),
        ("DELETE", "/v1/allow/198.51.100.0%2F24", 404, "not-found"),
    ],
)
def test_what_cannot_be_done_is_a_problem_document(served, method, path, status, word):
    got, headers, problem = served.ask(method, path)
    assert (status, "application/problem+json") == (got, headers["Content-Type"])
    assert (f"urn:excise:problem:{word}", status) == (problem["type"], problem["status"])
    assert path.split("?")[0].replace("%2F", "/") == problem["instance"]
