"""The judge of decisions: what got through, and whom it cost."""

import pytest

from excise.simulate import score
from excise.simulate.compose import Row


def row(start, client="198.18.0.1", account="k", tokens=100, *, hostile=True, case="", user="u"):
    case = case or ("hydra" if hostile else "chat")
    return Row(start + 1.0, start, client, account, tokens, case, hostile, user)


def change(ts, target, action="drop", *, op="add", until=1_000.0, campaign=None):
    plane = "network" if "/" in target else "account"
    extra = {"campaign": campaign} if campaign else {}
    return {"ts": ts, "op": op, "plane": plane, "target": target, "action": action,
            "until": until, **extra}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "network", "both"),
    [
        ([], 1.0, 1.0),
        ([change(5, "198.18.0.1/32")], 0.5, 0.5),
        ([change(5, "198.18.0.0/24")], 0.5, 0.5),
        ([change(5, "198.18.1.0/24")], 1.0, 1.0),
        ([change(5, "198.18.0.1/32", "throttle")], 0.55, 0.55),
        ([change(5, "198.18.0.1/32", "observe")], 1.0, 1.0),
        ([change(5, "k", "deny")], 1.0, 0.5),
        ([change(5, "198.18.0.1/32", "throttle"), change(5, "k", "deny")], 0.55, 0.5),
        ([change(5, "k", "deny", until=9)], 1.0, 1.0),
        ([change(5, "k", "deny"), change(6, "k", "deny", op="lift")], 1.0, 1.0),
        ([change(10.5, "k", "deny")], 1.0, 1.0),
    ],
)
def test_leakage_is_what_was_served_of_what_was_asked_for(changes, network, both):
    (line,) = score([row(0), row(10)], changes).campaigns

    assert (network, both) == (line.network, line.both)


def test_an_ipv6_network_covers_its_addresses():
    (line,) = score([row(10, "2001:db8:1::7")], [change(5, "2001:db8:1::/64")]).campaigns
    assert 0.0 == line.network


def test_the_first_that_was_met_is_counted_from_the_first_of_all():
    (line,) = score([row(2), row(10), row(20)], [change(9, "k", "deny")]).campaigns
    assert 8.0 == line.first_s


def test_honest_users_hit_are_counted_with_their_addresses_and_accounts():
    rows = [row(1, "198.18.0.9", "a", hostile=False, user="ann"),
            row(9, "198.18.0.9", "a", hostile=False, user="ann"),
            row(9, "198.18.0.8", "b", hostile=False, user="bob")]  # fmt: skip
    (line,) = score(rows, [change(5, "198.18.0.9/32"), change(5, "b", "deny")]).honest

    assert (3, 2, 0) == (line.requests, line.stopped, line.slowed)
    assert (2, 2) == (line.users, line.users_hit)
    assert (1, 1) == (line.sources_dropped, line.accounts_denied)


def test_a_stolen_key_is_no_honest_account_but_its_owners_requests_count():
    rows = [row(9, "198.18.0.9", "k", hostile=False), row(9)]
    (line,) = score(rows, [change(5, "k", "deny")]).honest
    assert (1, 0) == (line.stopped, line.accounts_denied)


def test_honest_accounts_in_an_enforced_campaign_are_named():
    rows = [row(1, hostile=False, account=name) for name in ("a", "b", "c")]
    changes = [change(5, "a", "deny", campaign="c-1"), change(5, "b", "observe", campaign="c-1"),
               change(5, "c", "deny")]  # fmt: skip
    assert ("a",) == score(rows, changes).in_campaigns
