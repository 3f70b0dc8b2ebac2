"""Accounts without a place of their own are a group, however long each exit is kept."""

import msgspec
import pytest

from excise.campaigns.accounts import active
from excise.campaigns.groups import find
from excise.model.record import Record


def expected(accounts):
    return [sorted(f"fleet{i}" for i in range(accounts))]


@pytest.fixture
def sticky():
    """Make accounts that keep each of their exits for `stay` requests of so many seconds.

    With `turns` above one every conversation has that many prompts, whatever the exit.
    """

    def make(accounts=8, requests=150, *, stay=10, every_s=60.0, turns=1, exits=None):
        records = []
        for i in range(accounts * requests):
            account, number = i % accounts, i // accounts
            exit_ = number // stay if exits is None else number // stay % exits
            talk, turn = divmod(number, turns)
            said = [f"{account:x}{talk:x}{k:x}" for k in range(1 + 2 * turn)]
            records.append(
                Record(
                    ts=1_700_000_400.0 + i * every_s / accounts,
                    client=f"2001:db8:{exit_:x}{account:x}::1",
                    account=f"fleet{account}",
                    prompt=("f1ee", *said),
                    input_tokens=90,
                    output_tokens=3000,
                    status=200,
                )
            )
        return records

    return make


def test_accounts_that_keep_an_exit_for_a_while_are_a_group_by_their_prompt(
    seen, sticky, people, names
):
    """Ten requests from each of fifteen addresses: hardly a repeat moves, and none comes alone."""
    world, now = seen(sticky(), people())

    assert expected(8) == names(world, find(world, now))


def test_accounts_with_as_many_requests_from_a_few_places_are_no_group(seen, sticky, people):
    """Home, desk, and a phone that is given another address four times a day."""
    world, now = seen(sticky(exits=6), people())

    assert 0 == find(world, now).n


@pytest.mark.parametrize(("stay", "honest"), [(10, True), (5, False)])
def test_conversations_are_held_by_people_unless_they_go_through_a_pool_of_exits(
    seen, sticky, stay, honest
):
    """Fifteen addresses in a day may be a phone's; thirty are a pool's."""
    world, now = seen(sticky(turns=3, stay=stay))

    assert [honest] * 8 == active(world, now).honest.tolist()


def test_exits_that_are_kept_for_a_while_link_as_others_do(seen, sticky, people, names):
    """Without prompts, accounts meet at exits of which each sees every one for ten requests."""
    shared = [
        Record(
            ts=r.ts,
            client=f"2001:db8:{(i // 8 // 10 * 5 + i % 8 * 3) % 21:x}::1",
            account=r.account,
            input_tokens=90,
            output_tokens=3000,
            status=200,
        )
        for i, r in enumerate(sticky(requests=210))
    ]
    world, now = seen(shared, people())

    assert expected(8) == names(world, find(world, now))


@pytest.fixture
def sittings():
    """Make accounts that ask three times in each sitting, from the next of `networks`."""

    def make(networks, *, accounts=8, sittings=4, name="fleet", prompt="f1ee"):
        return [
            Record(
                ts=1_700_000_400.0 + sitting * 3600.0 + account * 90.0 + turn * 30.0,
                client=f"{networks[sitting % len(networks)]}.{account}",
                account=f"{name}{account}",
                prompt=(prompt, f"{account:x}{sitting:x}{turn:x}"),
                input_tokens=90,
                output_tokens=3000,
                status=200,
            )
            for sitting in range(sittings)
            for account in range(accounts)
            for turn in range(3)
        ]

    return make


UNRELATED = ("192.0.2", "198.51.100", "203.0.113")


def test_accounts_that_come_back_from_elsewhere_each_time_are_a_group(
    seen, sittings, people, names
):
    """Two repeats of three are from where the one before was, at once: an exit lasts a sitting."""
    world, now = seen(sittings(UNRELATED), people())

    assert expected(8) == names(world, find(world, now))


def test_accounts_that_come_back_from_elsewhere_every_other_time_are_no_group(
    seen, sittings, people
):
    at_home = ("192.0.2", "192.0.2", "198.51.100")
    world, now = seen(sittings(at_home, sittings=6), people())

    assert 0 == find(world, now).n


@pytest.mark.parametrize(("others", "groups"), [(20, 1), (60, 0)])
def test_a_few_without_a_home_do_not_speak_for_all_who_came_back(seen, sittings, others, groups):
    """The others are new: they asked three times in the last hour, and may have a home."""
    new = sittings(("192.0.2",), accounts=others, sittings=1, name="new")
    late = [msgspec.structs.replace(r, ts=r.ts + 3 * 3600.0) for r in new]
    world, now = seen(sittings(UNRELATED), late)

    assert groups == find(world, now).n


@pytest.mark.parametrize(("every_s", "groups"), [(1200.0, 1), (0.0, 0)])
def test_keys_that_are_used_up_one_after_another_link_by_their_prompt(seen, every_s, groups):
    """Each stays at one address for its hour; three are in use at any time, or all at once."""
    keys = [
        Record(
            ts=1_700_000_400.0 + key * every_s + i * 60.0 + key,
            client=f"192.0.2.{key}",
            account=f"fleet{key}",
            prompt=("f1ee", f"{key:x}{i:03x}"),
            input_tokens=90,
            output_tokens=900,
            status=200,
        )
        for key in range(40)
        for i in range(60)
    ]
    world, now = seen(keys)
    found = find(world, now)

    assert (groups, 40 * groups) == (found.n, len(found.account))


@pytest.fixture
def relayed():
    """Make conversations of two turns, all from their accounts' homes.

    Every second conversation of an account goes on in the account that `to` says.
    """

    def make(to, accounts=8, conversations=12):
        records = []
        for talk in range(accounts * conversations):
            account, number = talk % accounts, talk // accounts
            other = to(account, number) if number % 2 else account
            said = ("5e11", f"{talk:x}aa", f"{talk:x}bb", f"{talk:x}cc")
            for turn, who in enumerate((account, other)):
                records.append(
                    Record(
                        ts=1_700_000_400.0 + talk * 60.0 + turn * 20.0,
                        client=f"192.0.2.{who}",
                        account=f"fleet{who}",
                        prompt=said[: 2 + 2 * turn],
                        input_tokens=90,
                        output_tokens=900,
                        status=200,
                    )
                )
        return records

    return make


@pytest.mark.parametrize(
    ("to", "groups"),
    [
        (lambda account, number: (account + 1 + number % 5) % 8, 1),
        # a spare key takes over from one other
        (lambda account, _: account ^ 1, 0),
        (lambda account, _: account, 0),
    ],
    ids=["dealt out", "to a spare", "kept"],
)
def test_accounts_that_go_on_with_several_others_conversations_are_a_group(
    seen, relayed, to, groups
):
    """They talk, and are at home, as people do: only whose conversations they are tells them."""
    world, now = seen(relayed(to))
    found = find(world, now)

    assert (groups, 8 * groups) == (found.n, len(found.account))
    assert 8 - 8 * groups == len(found.honest)


def later(records, hours):
    return [msgspec.structs.replace(r, ts=r.ts + hours * 3600.0) for r in records]


@pytest.mark.parametrize(("known", "members"), [(14, 44), (11, 11)])
def test_newcomers_belong_to_a_fleet_once_a_dozen_of_it_are_known(seen, sittings, known, members):
    """Thirty have asked three times, at once and from one place; of the others it is known."""
    fleet = sittings(UNRELATED, accounts=known)
    new = later(sittings(("192.0.2",), accounts=30, sittings=1, name="new"), 3)
    world, now = seen(fleet, new)
    found = find(world, now)

    assert (1, members) == (found.n, len(found.account))


@pytest.mark.parametrize(("hours", "groups"), [(8, 0), (3, 1)])
def test_who_was_at_home_for_long_enough_speaks_for_a_prompt_too(seen, sittings, hours, groups):
    """Eight come back from elsewhere each time; ten never left home, for eight hours or three."""
    fleet = sittings(UNRELATED, sittings=8)
    people = later(sittings(("192.0.2",), accounts=10, sittings=hours, name="home"), 8 - hours)
    world, now = seen(fleet, people)

    assert groups == find(world, now).n


def test_a_prompt_of_accounts_that_share_their_machines_links_though_they_stay_in_one_network(seen):
    """Each is on one of eight machines for an hour, and no machine is anybody's own."""
    shared = [
        Record(
            ts=1_700_000_400.0 + hour * 3600.0 + i * 300.0 + account,
            client=f"192.0.2.{(hour + 3 * account) % 8}",
            account=f"fleet{account}",
            prompt=("f1ee", f"{account:x}{hour:x}{i:x}"),
            input_tokens=90,
            output_tokens=900,
            status=200,
        )
        for hour in range(9)
        for account in range(10)
        for i in range(12)
    ]
    world, now = seen(shared)
    found = find(world, now)

    assert (1, [0xF1EE]) == (found.n, found.templates.tolist())
