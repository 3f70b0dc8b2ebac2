"""How long a pass over a graph of a million edges takes, and how much memory: made, then timed."""

from __future__ import annotations

import resource
import time

import numpy as np

from excise.campaigns.groups import find
from excise.campaigns.measure import measure
from excise.campaigns.register import Register
from excise.features.conduct import AT
from excise.features.world import World
from excise.model.entity import Kind
from excise.model.settings import Capacity

NOW = 1_767_571_200.0
ACCOUNTS, CLIENTS, TEMPLATES = 100_000, 250_000, 40_000
LINKS, TIES = 700_000, 300_000
FLEET = 5_000


def made(seed: int = 1) -> World:
    """Return a world of honest accounts, a twentieth of them a fleet, with a million edges."""
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
    _accounts(world, rng)
    fleet = rng.integers(1, FLEET + 1, LINKS // 10), rng.integers(1, FLEET * 3, LINKS // 10)
    people = rng.integers(1, ACCOUNTS + 1, LINKS), rng.integers(1, CLIENTS + 1, LINKS)
    for account, client in zip(*map(np.concatenate, zip(fleet, people, strict=True)), strict=True):
        world.links.one(int(client), int(account))
        if len(world.links._names) > LINKS:
            break
    world.links.last[1 : LINKS + 1] = NOW
    world.links.sums[1 : LINKS + 1] = rng.integers(1, 20, (LINKS, 2))
    _ties(world, rng)
    return world


def _accounts(world: World, rng: np.random.Generator) -> None:
    conduct, at = world.conduct, slice(1, ACCOUNTS + 1)
    conduct.last[at] = NOW
    world.tables[Kind.ACCOUNT].first[at] = NOW - 40_000.0
    sums = rng.integers(1, 40, (ACCOUNTS, 1)) * np.ones(len(AT))
    sums[:, AT["moved"]] *= 0.1
    sums[:, AT["alone"]] *= 0.1
    sums[:, AT["begins"]] *= 0.3
    sums[:FLEET, [AT["moved"], AT["alone"], AT["begins"]]] = sums[:FLEET, [AT["requests"]] * 3]
    sums[:, AT["log_output"]] *= 10.0
    sums[:, AT["log_output_sq"]] *= 101.0
    sums[:, AT["log_input"]] *= 8.0
    conduct.sums[at] = sums


def _ties(world: World, rng: np.random.Generator) -> None:
    ties, n = world.conduct.ties, 0
    templates = np.where(np.arange(TIES) % ACCOUNTS < FLEET, 7, rng.integers(8, TEMPLATES, TIES))
    for i, template in enumerate(templates.tolist()):
        n = max(n, ties.one(i % ACCOUNTS + 1, int(template) + i // ACCOUNTS))
    ties.sums[1 : n + 1] = world.conduct.sums[ties.account[1 : n + 1]]
    ties.last[1 : n + 1] = NOW


def main() -> None:
    """Time three passes: one finds everything new, the others what is known."""
    world = made()
    register = Register(world)
    edges = len(world.links._names) + len(world.conduct.ties.live())
    for i in range(3):
        before = time.process_time()
        groups = find(world, NOW)
        measure(world, groups, register.match(groups, NOW + i), NOW)
        spent = time.process_time() - before
        print(
            f"pass {i + 1}: {edges:,} edges, {groups.n} groups, {len(groups.account):,} members, "
            f"{spent:.2f} s of CPU"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak:,.0f} MiB")


if __name__ == "__main__":
    main()
