"""A pass over arrays finds what plain Python finds that looks at every edge, one by one."""

from collections import Counter, defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.plainpass import (
    NOW,
    TEMPLATES,
    live_links,
    none,
    plain_exits,
    plain_templates,
    worlds,
)

from excise.campaigns.accounts import active
from excise.campaigns.exits import by_exit
from excise.campaigns.graph import of_links, of_ties
from excise.campaigns.groups import Groups
from excise.campaigns.templates import by_template
from excise.features.conduct import AT, DAY_S


@given(world=worlds())
def test_who_is_active_and_a_key_among_several_is_known_from_each_account_alone(world):
    accounts = active(world, NOW)
    last, org = world.conduct.last, world.conduct.org[accounts.rows].tolist()
    keys = Counter(org)

    assert accounts.rows.tolist() == sorted(
        row for row in world.accounts.rows.values() if last[row] > NOW - DAY_S
    )
    assert [o > 0 and keys[o] > 1 for o in org] == accounts.keyed.tolist()
    assert list(range(len(accounts.rows))) == accounts.place[accounts.rows].tolist()


@given(world=worlds())
def test_exits_link_the_accounts_that_they_link_address_by_address(world):
    accounts = active(world, NOW)
    member, hub = by_exit(world, accounts, NOW)
    found = list(zip(accounts.rows[member].tolist(), hub.tolist(), strict=True))

    assert plain_exits(world, accounts) == set(found)
    assert len(found) == len(set(found))


@given(world=worlds())
def test_templates_link_the_accounts_that_they_link_one_by_one(world):
    accounts = active(world, NOW)
    sharing, _ = by_exit(world, accounts, NOW)
    found = by_template(world, accounts, sharing, NOW)
    linked = zip(found.member.tolist(), found.hub.tolist(), strict=True)
    expected = plain_templates(world, accounts, set(sharing.tolist()))

    assert expected == (set(linked), set(found.common.tolist()), set(found.own.tolist()))


@given(world=worlds(), dealt=st.lists(st.integers(0, 2), min_size=64, max_size=64))
def test_what_edges_say_of_groups_is_what_each_groups_edges_say(world, dealt):
    rows = active(world, NOW).rows
    of = np.array(dealt[: len(rows)], dtype=np.int64)
    hashes = np.array([i << 40 for i in range(1, TEMPLATES + 1)])
    template_of, own = np.array([0, 1, 0]), np.array([True, True, False])
    groups = Groups(3, rows, of, np.ones(len(rows)), hashes, template_of, none(), own, none())
    columns = of_ties(world, groups, NOW) | of_links(world, groups, NOW)
    group_of = dict(zip(rows.tolist(), of.tolist(), strict=True))
    for g in range(3):
        met = [(c, a, r) for c, a, r in live_links(world) if group_of.get(a) == g]
        behind = defaultdict(set)
        for c, a, _ in met:
            behind[c].add(a)
        shared = sum(r for c, _, r in met if len(behind[c]) >= 2)
        assert len(behind) == columns["clients"][g]
        assert (
            len(set(world.sites(np.array([*behind], dtype=np.int64)).tolist()))
            == (columns["sites"][g])
        )
        assert np.isclose(shared / max(1e-9, sum(r for _, _, r in met)), columns["shared_exits"][g])
        ties = world.conduct.ties
        mine = [i for i in ties.live().tolist() if group_of.get(int(ties.account[i])) == g]
        assert len({int(ties.template[i]) for i in mine}) == columns["templates"][g]
        for name, mask in (("template_share", template_of == g), ("own_share", own)):
            linking = set(hashes[(template_of == g) & mask].tolist())
            under = sum(
                ties.sums[i, AT["requests"]] for i in mine if int(ties.template[i]) in linking
            )
            prompts = sum(
                world.conduct.sums[a, AT["prompts"]] for a, o in group_of.items() if o == g
            )
            assert np.isclose(min(1.0, under / max(prompts, 1e-9)), columns[name][g])


@given(world=worlds())
def test_the_account_of_a_use_is_that_in_its_name_also_after_a_restart(world):
    named = [(key or 0) >> 32 for key in world.uses.keys]

    assert named == world.directory.owner[: len(named)].tolist()
    world.directory.reindex()
    assert named == world.directory.owner[: len(named)].tolist()
