"""A made-up log: the same for the same seed, labelled, and of the record's form."""

from hashlib import sha256
from ipaddress import ip_address, ip_network

import pytest

from excise.errors import InvalidError
from excise.simulate import Plan, compose
from excise.simulate.campaigns import CAMPAIGNS
from excise.simulate.compose import MAKERS, parameters
from excise.simulate.stress import STRESS

SMALL = Plan(seed=3, requests=3_000, add=("hydra", "rag"))
RESERVED = [ip_network(n) for n in ("198.18.0.0/15", "2001:db8::/32")]


def digest(plan):
    return sha256(b"\n".join(line for line, _ in compose(plan))).hexdigest()


def test_the_same_seed_gives_the_same_log():
    assert digest(SMALL) == digest(SMALL)


def test_another_seed_gives_another_log():
    assert digest(SMALL) != digest(Plan(seed=4, requests=3_000, add=("hydra", "rag")))


def test_adding_a_campaign_changes_nobody_else(as_lines):
    def ordinary(*add):
        made = as_lines(Plan(requests=2_000, add=add))
        return [row for _, row in made if row.case not in MAKERS]

    assert ordinary() == ordinary("hydra", "rag")


def test_lines_come_in_order_of_their_time_stamps(as_lines):
    times = [line["ts"] for line, _ in as_lines(SMALL)]
    assert sorted(times) == times


def test_a_row_tells_of_its_line(as_lines):
    made = as_lines(SMALL)
    assert [] == [
        (line, row)
        for line, row in made
        if (line["client"], line.get("account", ""), line["output_tokens"])
        != (row.client, row.account, row.output_tokens)
        or abs(line["ts"] - line["duration"] - row.start) > 0.01
    ]
    assert {"hydra"} == {row.case for _, row in made if row.hostile}


def test_every_address_is_reserved_for_such_use(as_lines):
    clients = {ip_address(row.client) for _, row in as_lines(Plan(requests=500, add=tuple(MAKERS)))}
    assert [] == [c for c in clients if not any(c in net for net in RESERVED)]


@pytest.mark.parametrize("name", MAKERS)
def test_every_maker_makes_requests_under_its_name(name, as_lines):
    rows = [row for _, row in as_lines(Plan(requests=1_000, add=(name,)))]
    mine = [row for row in rows if row.case == name]
    assert mine
    assert {name in CAMPAIGNS} == {row.hostile for row in mine}


@pytest.mark.parametrize("name", MAKERS)
def test_every_maker_says_what_it_makes(name):
    assert (MAKERS[name].__doc__ or "").startswith("Yield ")


def test_groups_stand_for_their_members(as_lines):
    cases = {row.case for _, row in as_lines(Plan(requests=500, add=("stress",)))}
    assert set(STRESS) <= cases


def test_a_prompt_chain_grows_by_a_turn_and_keeps_its_ends(as_lines):
    chains = [line["prompt"] for line, row in as_lines(Plan(requests=2_000)) if row.case == "agent"]
    lengths = {len(chain) for chain in chains}
    assert {2, 4, 6, 8} == lengths
    assert 2 == len({chain[0] for chain in chains})


def test_a_gateway_without_hashes_logs_none(as_lines):
    made = as_lines(Plan(requests=500, hashes=False))
    assert not any("prompt" in line or "simhash" in line for line, _ in made)


def test_parameters_can_be_set(as_lines):
    plan = Plan(requests=500, add=("rag",), options={"rag": {"requests": 17, "keys": 3}})
    rows = [row for _, row in as_lines(plan) if row.case == "rag"]
    assert 17 == len(rows)
    assert 3 >= len({row.account for row in rows})


def test_parameters_are_told_with_their_defaults():
    assert {"share": 0.08, "per_day": 13} == parameters("slow")


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (Plan(add=("octopus",)), "nothing is called 'octopus'"),
        (Plan(options={"hydra": {"share": 1}}), "'hydra', which is not added"),
        (Plan(add=("hydra",), options={"hydra": {"heads": 9}}), "no parameter 'heads'"),
        (Plan(days=0), "at least one request"),
        (Plan(requests=0), "at least one request"),
    ],
)
def test_a_plan_that_cannot_be_made_says_why(plan, words):
    with pytest.raises(InvalidError, match=words):
        next(compose(plan))
