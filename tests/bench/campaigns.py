"""How long a pass over a graph of a million edges takes, and how much memory: made, then timed."""

from __future__ import annotations

import resource
import time
import tracemalloc

import numpy as np

from excise.campaigns.groups import Groups, find
from excise.campaigns.measure import measure
from excise.campaigns.register import Register
from excise.features.conduct import AT
from excise.features.world import World
from excise.model.entity import Kind
from excise.model.settings import Capacity

NOW = 1_767_571_200.0
ACCOUNTS, CLIENTS, TEMPLATES = 100_000, 250_000, 40_000
LINKS, TIES = 700_000, 300_000
#: accounts that pools draw, and links of these: one fleet, and half of a host
FLEET, HALF = (5_000, LINKS // 10), (ACCOUNTS // 2, LINKS // 2)


def made(size: int, shared: int, seed: int = 1) -> World:
    """Return a world with a million edges; `size` accounts are a fleet's, with `shared` links."""
    rng = np.random.default_rng(seed)
    capacity = Capacity(
        clients=2 * CLIENTS,
        accounts=2 * ACCOUNTS,
        uses=2 * ACCOUNTS,
        links=2 * LINKS,
        ties=2 * TIES,
    )
    world = World(capacity, lambda _: np.empty(0, dtype=np.int64), lambda *_: None)
    world.start(NOW)
    for i in range(1, ACCOUNTS + 1):
        world.accounts.one(f"a{i}")
        world.uses.one(i << 32 | 1)
    for i in range(1, CLIENTS + 1):
        world.clients.one(f"c{i}")
    world.directory.reindex()
    world.network[1 : CLIENTS + 1] = rng.integers(1, 1 << 32, CLIENTS)
    world.version[1 : CLIENTS + 1] = 4
    _accounts(world, size, rng)
    fleet = rng.integers(1, size + 1, shared), rng.integers(1, size * 3, shared)
    people = rng.integers(1, ACCOUNTS + 1, LINKS), rng.integers(1, CLIENTS + 1, LINKS)
    for account, client in zip(*map(np.concatenate, zip(fleet, people, strict=True)), strict=True):
        world.links.one(int(client), int(account))
        if len(world.links._names) > LINKS:
            break
    world.links.last[1 : LINKS + 1] = NOW
    columns = world.links.sums.shape[1]
    world.links.sums[1 : LINKS + 1] = rng.integers(1, 20, (LINKS, columns))
    table = world.tables[Kind.ACCOUNT]
    places = np.bincount(world.links.use[1 : LINKS + 1], minlength=ACCOUNTS + 1)
    table.sums[1 : ACCOUNTS + 1, table.index["clients"]] = places[1 : ACCOUNTS + 1]
    _ties(world, size, rng)
    return world


def _accounts(world: World, size: int, rng: np.random.Generator) -> None:
    conduct, at = world.conduct, slice(1, ACCOUNTS + 1)
    conduct.last[at] = NOW
    world.tables[Kind.ACCOUNT].first[at] = NOW - 40_000.0
    sums = rng.integers(1, 40, (ACCOUNTS, 1)) * np.ones(len(AT))
    sums[:, AT["moved"]] *= 0.1
    sums[:, AT["alone"]] *= 0.1
    sums[:, AT["begins"]] *= 0.3
    sums[:size, [AT["moved"], AT["alone"], AT["begins"]]] = sums[:size, [AT["requests"]] * 3]
    sums[:, AT["log_output"]] *= 10.0
    sums[:, AT["log_output_sq"]] *= 101.0
    sums[:, AT["log_input"]] *= 8.0
    conduct.sums[at] = sums


def _ties(world: World, size: int, rng: np.random.Generator) -> None:
    ties, n = world.conduct.ties, 0
    templates = np.where(np.arange(TIES) % ACCOUNTS < size, 7, rng.integers(8, TEMPLATES, TIES))
    for i, template in enumerate(templates.tolist()):
        n = max(n, ties.one(i % ACCOUNTS + 1, int(template) + i // ACCOUNTS))
    ties.sums[1 : n + 1] = world.conduct.sums[ties.account[1 : n + 1]]
    ties.last[1 : n + 1] = NOW


def touched(world: World, rng: np.random.Generator, now: float) -> None:
    """Let a hundredth of the edges be used until `now`: old ones, and a few that are new."""
    links, ties = world.links, world.conduct.ties
    rows = rng.integers(1, LINKS, LINKS // 100)
    links.add(rows, np.ones((len(rows), links.sums.shape[1])), np.full(len(rows), now))
    world.conduct.last[world.directory.owner[links.use[rows]]] = now
    rows = rng.integers(1, TIES, TIES // 100)
    ties.sums[rows, AT["requests"]] += 1.0
    ties.last[rows] = now
    for client in rng.integers(1, CLIENTS + 1, LINKS // 1_000).tolist():
        links.last[links.one(client, int(rng.integers(1, ACCOUNTS + 1)))] = now


def passed(world: World, register: Register, now: float) -> Groups:
    """Make one pass."""
    groups = find(world, now)
    measure(world, groups, register.match(groups, now), now)
    return groups


def timed(name: str, size: int, shared: int) -> None:
    """Time five passes, ten minutes apart, and take the memory of a sixth."""
    world, rng, now = made(size, shared), np.random.default_rng(2), NOW
    register = Register(world)
    edges = world.links.size()[0] + len(world.conduct.ties.live())
    spent = []
    for i in range(5):
        if i:
            now += 600.0
            touched(world, rng, now)
        before = time.process_time()
        groups = passed(world, register, now)
        spent.append(time.process_time() - before)
    tracemalloc.start()
    passed(world, register, now)
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    print(
        f"{name}: {edges:,} edges, {groups.n} groups, {len(groups.account):,} members; first pass "
        f"{spent[0]:.2f} s of CPU, those after it {min(spent[1:]):.2f} to {max(spent[1:]):.2f} s; "
        f"a pass takes {peak:,.0f} MiB"
    )


def main() -> None:
    """Time passes over a host with one fleet, and over one of which half is drawn from pools."""
    timed("one fleet", *FLEET)
    timed("half drawn", *HALF)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of the process {peak:,.0f} MiB")


if __name__ == "__main__":
    main()
