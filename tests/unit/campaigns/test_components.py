"""Components are those of a plain union-find, whatever the graph."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from excise.campaigns.components import components

EDGES = st.lists(st.tuples(st.integers(0, 29), st.integers(0, 19)), max_size=80)


def by_hand(edges, members):
    parent = list(range(members + 20))

    def root(x):
        while parent[x] != x:
            x = parent[x]
        return x

    for member, hub in edges:
        parent[root(member)] = root(members + hub)
    return [root(x) for x in range(members)]


@given(EDGES)
def test_members_are_together_exactly_where_a_path_joins_them(edges):
    member = np.array([m for m, _ in edges], dtype=np.int64)
    hub = np.array([h for _, h in edges], dtype=np.int64)
    label, expected = components(member, hub, 30, 20), by_hand(edges, 30)

    for a in range(30):
        for b in range(a):
            assert (expected[a] == expected[b]) == (label[a] == label[b])


@given(EDGES)
def test_a_component_is_named_by_its_least_member(edges):
    member = np.array([m for m, _ in edges], dtype=np.int64)
    hub = np.array([h for _, h in edges], dtype=np.int64)
    label = components(member, hub, 30, 20)

    assert all(label[a] <= a and label[label[a]] == label[a] for a in range(30))


def test_a_long_chain_is_one_component():
    member = np.repeat(np.arange(5000), 2)[1:-1]
    hub = np.repeat(np.arange(4999), 2)

    assert {0} == set(components(member, hub, 5000, 4999).tolist())
