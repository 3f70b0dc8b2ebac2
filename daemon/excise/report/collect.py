"""What a report shows, taken from an engine and its accounting at the end of a replay. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from excise.campaigns.register import Campaign
from excise.engine import Engine
from excise.model.decision import Plane
from excise.model.entity import Kind
from excise.model.view import CampaignDetail, SignalView
from excise.replay.accounting import Accounting
from excise.replay.chronicle import CELL_S, STOPPED, THROTTLED, Chronicle
from excise.replay.summary import BystanderLine, Summary

MOST_BARS = 160
#: width of a bar of the score histogram, points
SCORE_STEP = 5.0
#: campaigns that are drawn and told in full; all are listed
DRAWN = 6
LISTED = 200
#: most bystanders that are listed
BYSTANDERS = 25


class Bar(msgspec.Struct, frozen=True):
    """Traffic from `ts` on, in the report's unit: what went by, was throttled, was stopped."""

    ts: float
    served: int
    throttled: int
    stopped: int


class Edge(msgspec.Struct, frozen=True):
    """An account of a campaign used an address so many times in the last day."""

    account: str
    client: str
    requests: float


class Net(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign as a graph: (name, state) of accounts and exits. States are actions, or `none`.

    The state of an exit is `shared` where somebody else lives behind it and nothing is done.
    """

    accounts: tuple[tuple[str, str], ...]
    exits: tuple[tuple[str, str], ...]
    edges: tuple[Edge, ...]


class Story(msgspec.Struct, frozen=True):
    """A campaign with its graph."""

    detail: CampaignDetail
    net: Net


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All that the page shows. `unit` is `output tokens`, or `requests` where none are logged."""

    inputs: tuple[str, ...]
    summary: Summary
    posture: str
    unit: str
    bar_s: float
    bars: tuple[Bar, ...]
    scores: tuple[tuple[float, int, int], ...]
    rungs: tuple[tuple[str, float], ...]
    campaigns: int
    enforced_campaigns: int
    stories: tuple[Story, ...]
    others: tuple[CampaignDetail, ...]
    bystanders: tuple[BystanderLine, ...]
    bystander_count: int
    signals: tuple[SignalView, ...]


def collect(
    inputs: Iterable[str], engine: Engine, accounting: Accounting, chronicle: Chronicle
) -> Report:
    """Return the report of a replay that has ended."""
    summary = accounting.summary()
    by_tokens = summary.traffic.output_tokens > 0
    bar_s, bars = timeline(chronicle, which=1 if by_tokens else 0)
    listed = engine.campaigns()
    drawn = [engine.campaign(c.id) for c in listed[:DRAWN]]
    bystanders = accounting.bystanders()
    status = engine.status()
    policy = engine.settings.policy
    return Report(
        inputs=tuple(inputs),
        summary=summary,
        posture=status.effective_posture,
        unit="output tokens" if by_tokens else "requests",
        bar_s=bar_s,
        bars=bars,
        scores=_scores(engine, chronicle),
        rungs=(("observe", policy.observe), ("throttle", policy.throttle), ("drop", policy.drop)),
        campaigns=len(listed),
        enforced_campaigns=sum(c.enforced_ts is not None for c in listed),
        stories=tuple(Story(d, net(engine, d)) for d in drawn),
        others=tuple(engine.campaign(c.id) for c in listed[DRAWN:LISTED]),
        bystanders=tuple(bystanders[:BYSTANDERS]),
        bystander_count=len(bystanders),
        signals=status.signals,
    )


def timeline(chronicle: Chronicle, *, which: int) -> tuple[float, tuple[Bar, ...]]:
    """Return the width of a bar in seconds, and at most `MOST_BARS` of them from first to last.

    `which`: 0 counts requests, 1 output tokens. Outlying time stamps (one in ten thousand records)
    are left out, so that a line of another year does not squeeze a day into one bar.
    """
    cells = _core(chronicle.all)
    if not cells:
        return float(CELL_S), ()
    width = next(w for w in _widths() if (cells[-1] // w - cells[0] // w) < MOST_BARS)
    sums: dict[int, list[int]] = {}
    for column, counts in enumerate((chronicle.all, *_enforced(chronicle))):
        for cell, counted in counts.items():
            if cells[0] <= cell <= cells[-1]:
                sums.setdefault(cell // width, [0, 0, 0])[column] += counted[which]
    found = [sums.get(at, [0, 0, 0]) for at in range(cells[0] // width, cells[-1] // width + 1)]
    first = cells[0] // width * width * CELL_S
    bars = [
        Bar(first + n * width * CELL_S, max(0, everything - slow - stop), slow, stop)
        for n, (everything, slow, stop) in enumerate(found)
    ]
    return float(width * CELL_S), tuple(bars)


def _enforced(chronicle: Chronicle) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    return chronicle.enforced[THROTTLED], chronicle.enforced[STOPPED]


def _widths() -> Iterable[int]:
    yield from (1, 2, 5, 10, 15, 20, 30, 60, 120, 240, 360, 720)
    days = 1
    while True:
        yield days * 1_440
        days *= 2


def _core(cells: dict[int, list[int]]) -> list[int]:
    """Return the cells in order, without the outermost that hold next to nothing."""
    ordered = sorted(cells)
    spare = sum(counted[0] for counted in cells.values()) // 10_000
    for at in (-1, 0):
        left = spare
        while len(ordered) > 1 and cells[ordered[at]][0] <= left:
            left -= cells[ordered.pop(at)][0]
    return ordered


def _scores(engine: Engine, chronicle: Chronicle) -> tuple[tuple[float, int, int], ...]:
    """Return (score from, networks, accounts): the highest that each had when decided or at last.

    Entities without evidence are not counted: there are as many as there are clients.
    """
    highest = dict(chronicle.highest)
    kinds = {Kind.CLIENT.value: Plane.NETWORK, Kind.SUBNET.value: Plane.NETWORK}
    kinds |= {Kind.ACCOUNT.value: Plane.ACCOUNT}
    for view in engine.scored(limit=1_000_000):
        if (plane := kinds.get(view.kind)) is not None and view.score > 0:
            key = plane, view.name
            highest[key] = max(highest.get(key, 0.0), view.score)
    bins: Counter[tuple[Plane, int]] = Counter(
        (plane, int(score // SCORE_STEP)) for (plane, _), score in highest.items()
    )
    last = max((n for _, n in bins), default=-1)
    return tuple(
        (n * SCORE_STEP, bins[Plane.NETWORK, n], bins[Plane.ACCOUNT, n]) for n in range(last + 1)
    )


def net(engine: Engine, detail: CampaignDetail) -> Net:
    """Return a campaign's accounts and the addresses that they used within the last day."""
    campaign = engine.judge.crowd.register.by_id(detail.summary.id)
    if campaign is None:
        return Net(accounts=(), exits=(), edges=())
    edges = _edges(engine, campaign)
    names = {name: None for row in campaign.accounts if (name := _name(engine, row))}
    exits = dict.fromkeys(edge.client for edge in edges)
    shared = {e.client for e in detail.exits if e.honest_share > 0}
    acting = {(d.plane, d.target): d.action.value for d in engine.decisions() if d.enforcing}
    return Net(
        accounts=tuple((n, acting.get((Plane.ACCOUNT, n), "none")) for n in names),
        exits=tuple(
            (c, acting.get((Plane.NETWORK, c), "shared" if c in shared else "none")) for c in exits
        ),
        edges=edges,
    )


def _edges(engine: Engine, campaign: Campaign) -> tuple[Edge, ...]:
    world, now = engine.world, engine.clock
    fade, found = world.fade(now), []
    for account in campaign.accounts:
        name = _name(engine, account)
        for use in world.uses_of(account) if name else ():
            for link in world.links.of_use(use).tolist():
                client = world.clients.name(int(world.links.client[link]))
                requests = float(world.links.sums[link, 0]) * fade
                found.append(Edge(name, client, round(requests, 2)))
    return tuple(sorted(found, key=lambda e: (-e.requests, e.account, e.client)))


def _name(engine: Engine, account: int) -> str:
    return engine.world.accounts.name(account)
