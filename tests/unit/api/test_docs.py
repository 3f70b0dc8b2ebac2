"""The API's documentation says what is there, and nothing else."""

import re
from pathlib import Path

from excise.api.problem import _STATUS
from excise.api.routes import ROUTES

TEXT = (Path(__file__).parents[3] / "docs" / "api.md").read_text()


def test_every_route_is_documented_with_its_right_and_no_other():
    rows = re.findall(r"^\| `([A-Z]+) (/\S+)` \| (\w+) \|", TEXT, re.MULTILINE)
    expected = {(r.method, re.sub(r":[^}]*", "", r.path), r.right.value) for r in ROUTES}
    assert expected == set(rows)
    assert len(ROUTES) == len(rows)


def test_every_kind_of_problem_is_documented():
    words = set(re.findall(r"`([a-z-]+)`", TEXT[TEXT.index("### Errors") :]))
    assert set() == {word for _, _, word in _STATUS} - words
