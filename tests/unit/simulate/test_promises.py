"""What the shipped rules do to made-up days: the promises of the project, on a small host.

The bounds are generous: a small host has small fleets, which take longer to be sure of. The
figures of larger hosts are in docs/simulate.md.
"""

import pytest

from excise.simulate import Plan
from excise.simulate.stress import STRESS

REQUESTS = 20_000
HARMLESS = {"stopped": 0, "sources_dropped": 0, "accounts_denied": 0}


@pytest.fixture(scope="module")
def stressed(judged):
    """All that is honest in one day."""
    return judged(Plan(seed=7, requests=REQUESTS, add=("stress",)))


@pytest.fixture(scope="module")
def raided(judged):
    """A day with a hydra beside offices, a class, and a service with many keys."""
    beside = ("hydra", "office", "cgnat", "classroom", "rag", "harness")
    return judged(Plan(seed=8, requests=REQUESTS, add=beside))


def harm(line):
    return {name: getattr(line, name) for name in HARMLESS}


@pytest.mark.parametrize("case", STRESS)
def test_nobody_honest_is_stopped_whatever_it_looks_like(stressed, case):
    (line,) = [line for line in stressed.honest if line.case == case]
    assert HARMLESS == harm(line)


def test_at_most_one_honest_request_in_two_thousand_is_slowed(stressed):
    slowed = sum(line.slowed for line in stressed.honest)
    assert slowed <= sum(line.requests for line in stressed.honest) / 2_000


@pytest.mark.parametrize("case", ["office", "hackathon", "annotators"])
def test_many_who_work_hard_behind_the_one_crowded_address_of_a_host_are_not_slowed(judged, case):
    """Much is drawn there because many are there: one fact, not two kinds of evidence."""
    usual = {"accounts": 8.0, "output_per_account": 500.0, "output_tokens_24h": 1e5}
    plan = Plan(seed=10, requests=REQUESTS, add=(case,))
    report = judged(plan, **usual, output_tokens_1m=1e4)
    assert {} == {line.case: line.slowed for line in report.honest if line.slowed}


@pytest.mark.parametrize("away", [0.0, 0.25, 0.5])
def test_users_of_an_application_for_single_questions_are_no_fleet(judged, away):
    """One prompt, lone questions, long answers: all of a hydra but how it is driven."""
    case = {"writers": {"people": 500, "away": away}}
    report = judged(Plan(seed=11, requests=REQUESTS, add=("writers",), options=case))
    assert () == report.in_campaigns
    assert {} == {line.case: harm(line) for line in report.honest if harm(line) != HARMLESS}


@pytest.mark.parametrize("seed", [1, 2])
def test_customers_of_a_service_that_asks_with_their_keys_from_its_machines_are_no_fleet(
    judged, seed
):
    """One prompt, lone questions, long answers, shared exits: but each has a task of its own."""
    report = judged(Plan(seed=seed, requests=40_000, add=("integrations",)))
    assert () == report.in_campaigns
    assert {} == {line.case: harm(line) for line in report.honest if harm(line) != HARMLESS}


def test_a_hydra_is_found_and_gets_less_than_a_third(raided):
    (line,) = raided.campaigns
    assert line.both < 1 / 3
    assert line.accounts == line.accounts_met


def test_accounts_that_stay_on_each_of_their_machines_for_an_hour_are_found(judged):
    """Hardly one request in ten moves: by moves alone they would be at home."""
    busy = {"machines": {"share": 2.0}}
    report = judged(Plan(seed=12, requests=REQUESTS, add=("machines", "office"), options=busy))
    (line,) = report.campaigns
    assert line.both < 1 / 3
    assert line.accounts == line.accounts_met
    assert {} == {line.case: harm(line) for line in report.honest if harm(line) != HARMLESS}


def test_nobody_beside_a_hydra_is_stopped(raided):
    assert {} == {line.case: harm(line) for line in raided.honest if harm(line) != HARMLESS}


def test_no_honest_account_is_in_a_campaign_that_is_enforced(raided, stressed):
    assert ((), ()) == (raided.in_campaigns, stressed.in_campaigns)


def test_what_cannot_be_told_from_programmers_is_not_claimed_to_be(judged):
    """Replayed sessions evade this; if that changes the documentation must."""
    report = judged(Plan(seed=9, requests=8_000, add=("replayed",)))
    assert [1.0] == [round(line.both, 1) for line in report.campaigns]
    assert {} == {line.case: harm(line) for line in report.honest if harm(line) != HARMLESS}
