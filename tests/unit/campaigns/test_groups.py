"""Fleets are found by each of the ways that link them, and honest accounts are in no group."""

import pytest

from excise.campaigns.groups import find
from excise.model.record import Record


def expected(accounts):
    return [sorted(f"fleet{i}" for i in range(accounts))]


def test_accounts_that_move_under_one_prompt_are_a_group(seen, fleet, people, names):
    world, now = seen(fleet(), people())

    assert expected(12) == names(world, find(world, now))


def test_without_prompts_shared_exits_link_the_same_accounts(seen, fleet, people, names):
    world, now = seen(fleet(prompt="", count=240, exits=19), people())

    assert expected(12) == names(world, find(world, now))


def test_accounts_that_share_nothing_are_linked_by_one_behaviour(seen, fleet, people, names):
    ways = [
        Record(
            ts=r.ts,
            client=f"2001:db8:{i:x}::1",
            account=r.account,
            prompt=(f"f{i % 12:x}", *r.prompt[1:]),
            input_tokens=90,
            output_tokens=2500 + i % 7 * 300,
            status=200,
        )
        for i, r in enumerate(fleet())
    ]
    world, now = seen(ways, people())

    assert expected(12) == names(world, find(world, now))


def test_a_prompt_sent_after_a_common_one_links_too(seen, fleet, people, names):
    deeper = [
        Record(
            ts=r.ts,
            client=r.client,
            account=r.account,
            prompt=("ca11", "f1ee", r.prompt[1]),
            input_tokens=90,
            output_tokens=3000,
            status=200,
        )
        for r in fleet()
    ]
    world, now = seen(deeper, people())

    assert expected(12) == names(world, find(world, now))


@pytest.mark.parametrize("fields", [{"org": "one customer"}, {"status": 503}], ids=str)
def test_keys_of_one_customer_and_failures_are_no_group(seen, fleet, fields):
    world, now = seen(fleet(**fields))

    assert 0 == find(world, now).n


def test_people_who_share_a_prompt_are_no_group(seen, people):
    world, now = seen(people(heads=120))

    assert 0 == find(world, now).n


def test_an_account_that_asks_for_other_things_is_left_out(seen, fleet, names, start):
    other = [
        Record(
            ts=start + 100 + i * 1800.0,
            client=f"2001:db8:{i % 37:x}::1",
            account="other",
            prompt=("f1ee", f"0{i:x}"),
            input_tokens=9000,
            output_tokens=20,
            status=200,
        )
        for i in range(10)
    ]
    world, now = seen(fleet(), other)

    assert expected(12) == names(world, find(world, now))


def test_an_empty_world_has_no_groups(seen, start):
    world, _ = seen()

    assert 0 == find(world, start).n


def test_a_fleet_under_a_prompt_that_people_use_takes_none_of_them_along(
    seen, fleet, people, names
):
    world, now = seen(fleet(prompt="ca11", count=240, exits=19), people(heads=60))
    groups = find(world, now)

    assert expected(12) == names(world, groups)
    assert 0xCA11 in groups.common.tolist()
    assert not groups.own.any()


def test_a_fleets_own_prompt_is_its_own(seen, fleet, people):
    world, now = seen(fleet(), people())
    groups = find(world, now)

    assert [0xF1EE] == groups.templates[groups.own].tolist()


def test_a_crowd_of_alike_accounts_among_as_many_others_is_no_group(seen, fleet):
    ways = [
        Record(
            ts=r.ts,
            client=f"2001:db8:{i:x}::1",
            account=f"other{i % 40}",
            prompt=(f"f{i % 40:x}", *r.prompt[1:]),
            input_tokens=20 << i % 8,
            output_tokens=20 << i % 40 // 8 * 2,
            status=200,
        )
        for i, r in enumerate(fleet(count=200))
    ]
    world, now = seen(ways)

    assert 0 == find(world, now).n


def dealt(turns, accounts, *, home=False):
    """Return ten conversations, with as many turns each, that go from account to account."""
    chains = [["5e11"] for _ in range(10)]
    records = []
    for turn in range(turns):
        for talk, chain in enumerate(chains):
            chain += [f"{talk:x}{turn:x}ab"]
            chosen = talk if home else (talk * 7 + turn * 5 + talk * turn) % accounts
            records.append(
                Record(
                    ts=1_700_000_400.0 + turn * 300.0 + talk,
                    client=f"198.51.100.{talk * 16 + turn}",
                    account=f"fleet{chosen}",
                    prompt=tuple(chain[:4] + chain[-4:] if len(chain) > 8 else chain),
                    input_tokens=900,
                    output_tokens=300,
                    status=200,
                )
            )
            chain += [f"{talk:x}{turn:x}cd"]
    return records


def test_accounts_that_go_on_with_each_others_conversations_are_a_group(seen, names):
    world, now = seen(dealt(8, 8))

    assert expected(8) == names(world, find(world, now))


def test_conversations_that_stay_with_their_accounts_link_nobody(seen):
    world, now = seen(dealt(8, 8, home=True))

    assert 0 == find(world, now).n


def test_failing_over_to_a_spare_key_links_nobody(seen):
    world, now = seen(dealt(8, 2))

    assert 0 == find(world, now).n


@pytest.fixture
def scattered():
    """Make twelve accounts of one shape under prompts of their own, never twice in one network."""

    def make(every_s=25.0, count=120, busy=0):
        chosen = [i % 12 for i in range(count)] + [0] * busy
        return [
            Record(
                ts=1_700_000_400.0 + i * every_s,
                client=f"2001:{i:x}::1",
                account=f"fleet{who}",
                prompt=(f"f{who:x}", f"a{i:x}"),
                input_tokens=90,
                output_tokens=2500 + i % 7 * 300,
                status=200,
            )
            for i, who in enumerate(chosen)
        ]

    return make


def test_first_questions_from_unrelated_networks_in_quick_succession_link(
    seen, scattered, people, names
):
    world, now = seen(scattered(), people())

    assert expected(12) == names(world, find(world, now))


def test_a_busy_tenant_on_changing_machines_is_no_part_of_a_cohort(seen, scattered, people, names):
    world, now = seen(scattered(busy=400), people())

    assert [sorted(f"fleet{i}" for i in range(1, 12))] == names(world, find(world, now))


def once_again(moves):
    """Return sixteen accounts that ask twice under one prompt, hours apart."""
    return [
        Record(
            ts=1_700_000_400.0 + turn * 7200.0 + i * 60.0,
            client=f"2001:{turn if i < moves else 0:x}{i:02x}::1",
            account=f"fleet{i}",
            prompt=("f1ee", f"{turn}{i:x}"),
            input_tokens=90,
            output_tokens=3000,
            status=200,
        )
        for turn in range(2)
        for i in range(16)
    ]


@pytest.mark.parametrize(("moves", "own"), [(16, [0xF1EE]), (15, [0xF1EE]), (12, [])])
def test_a_prompt_is_a_fleets_own_where_nobody_comes_back_from_where_it_was(seen, moves, own):
    world, now = seen(once_again(moves))
    groups = find(world, now)

    assert own == groups.templates[groups.own].tolist()


def test_who_stays_at_home_under_a_fleets_own_prompt_is_of_the_fleet(seen, fleet, people, names):
    at_home = [
        Record(
            ts=1_700_000_400.0 + 400.0 + i * 60.0,
            client="198.51.100.200",
            account="fleet12",
            prompt=("f1ee", f"0{i:x}"),
            input_tokens=90,
            output_tokens=3000,
            status=200,
        )
        for i in range(10)
    ]
    world, now = seen(fleet(), people(), at_home)
    groups = find(world, now)

    assert expected(13) == names(world, groups)
    assert world.accounts.rows["fleet12"] not in groups.honest.tolist()


def test_who_stays_at_home_under_a_common_prompt_is_of_no_group(seen, fleet, people):
    world, now = seen(fleet(), people())

    assert world.accounts.rows["person3"] in find(world, now).honest.tolist()


def tenant(org, keys=3):
    """Return first questions of a customer's keys, by turns from addresses that the fleet uses."""
    return [
        Record(
            ts=1_700_000_430.0 + i * 150.0,
            client=f"2001:db8:{i % 19:x}::1",
            account=f"fleet{100 + i % keys}",
            prompt=(),
            input_tokens=90,
            output_tokens=3000,
            status=200,
            org=org,
        )
        for i in range(60)
    ]


@pytest.mark.parametrize(
    ("org", "others"), [("a customer", []), ("", ["fleet100", "fleet101", "fleet102"])]
)
def test_an_organisation_that_shares_a_fleets_exits_is_no_part_of_it(
    seen, fleet, names, org, others
):
    world, now = seen(fleet(prompt="", count=240, exits=19), tenant(org))

    assert [sorted([*expected(12)[0], *others])] == names(world, find(world, now))
