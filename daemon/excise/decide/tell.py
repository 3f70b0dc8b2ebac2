"""What is told of campaigns: the list, and one explained with its members, exits and ledger."""

from __future__ import annotations

import numpy as np

from excise.campaigns.register import Campaign
from excise.decide.explain import evidence_views
from excise.decide.judge import Judge
from excise.decide.score import Score
from excise.decide.words import evidence_sentence, number, trial_sentence
from excise.errors import NotFoundError
from excise.features.conduct import DAY_S
from excise.features.interner import Rows
from excise.features.links import OUTPUT, REQUESTS
from excise.model.decision import Plane
from excise.model.entity import Kind
from excise.model.settings import Policy
from excise.model.view import (
    CampaignDetail,
    CampaignSummary,
    ExitView,
    Explanation,
    LedgerView,
    MemberView,
)

#: most members and exits that are named
NAMED = 100
SPANS = ("output_tokens_1h", "output_tokens_24h", "output_tokens_30d")


def campaigns(judge: Judge, now: float) -> list[CampaignSummary]:
    """Return all campaigns, the enforced ones first, then by score."""
    found = [summary(judge, c, now) for c in judge.crowd.register.campaigns.values()]
    found.sort(key=lambda s: (s.enforced_ts is None, -s.score, s.id))
    return found


def summary(judge: Judge, campaign: Campaign, now: float) -> CampaignSummary:
    """Return a campaign as it is listed."""
    score, rows = judge.crowd.score(campaign.number, now), _rows(campaign)
    table = judge.world.tables[Kind.ACCOUNT]
    return CampaignSummary(
        id=campaign.id,
        score=round(score.total, 2),
        families=tuple(sorted(f.value for f, p in score.points.items() if p >= 1.0)),
        rules=score.rules,
        enforced_ts=campaign.enforced_at or None,
        first_seen=float(table.first[rows].min()) if len(rows) else campaign.born,
        last_seen=float(table.last[rows].max()) if len(rows) else campaign.seen,
        members=len(rows),
        ledger=ledger(judge, Kind.ACCOUNT, rows, now),
        trial=judge.trials.view(campaign.number),
    )


def ledger(judge: Judge, kind: Kind, rows: Rows, now: float) -> LedgerView:
    """Return what entities have taken together."""
    return LedgerView(*(round(float(judge.world.decayed(s, kind, rows, now).sum())) for s in SPANS))


def campaign(judge: Judge, name: str, now: float) -> CampaignDetail:
    """Explain a campaign by its id. Raises NotFoundError."""
    found = judge.crowd.register.by_id(name)
    if found is None:
        raise NotFoundError(f"no campaign {name!r}")
    score, brief = judge.crowd.score(found.number, now), summary(judge, found, now)
    exits, honest = _exits(judge, found, now)
    decisions = [d for _, d in sorted(judge.docket.book.active.items()) if d.campaign == name]
    counts = {
        "accounts": brief.members,
        "accounts_enforced": sum(d.enforcing and d.plane is Plane.ACCOUNT for d in decisions),
        "exits": len(exits),
        "exits_enforced": sum(d.enforcing and d.plane is Plane.NETWORK for d in decisions),
        "exits_with_honest_accounts": sum(e.honest_share > 0 for e in exits),
    }
    return CampaignDetail(
        explanation=Explanation(
            kind=Kind.CAMPAIGN.value,
            name=found.id,
            score=brief.score,
            features={k: round(v, 3) for k, v in found.numbers.items()},
            evidence=evidence_views(score.evidence, now),
            inherited=0.0,
            honest_share=honest,
            decisions=tuple(d.id for d in decisions),
            sentences=tuple(_sentences(judge, found, brief, counts, now)),
        ),
        summary=brief,
        templates=tuple(f"{t:016x}" for t in found.templates),
        accounts=_accounts(judge, found, now),
        exits=tuple(exits[:NAMED]),
        counts=counts,
        honest_share=honest,
        saved_output_tokens=round(saved(found, now)),
    )


def _rows(campaign: Campaign) -> Rows:
    return np.array(sorted(campaign.accounts), dtype=np.int64)


def _accounts(judge: Judge, campaign: Campaign, now: float) -> tuple[MemberView, ...]:
    rows = _rows(campaign)
    table, output = (
        judge.world.tables[Kind.ACCOUNT],
        judge.world.decayed("output_tokens_24h", Kind.ACCOUNT, rows, now),
    )
    return tuple(
        MemberView(
            account=(name := judge.world.accounts.name(int(rows[i]))),
            strength=campaign.accounts[int(rows[i])],
            first_seen=float(table.first[rows[i]]),
            last_seen=float(table.last[rows[i]]),
            output_tokens_24h=round(float(output[i])),
            action=_action(judge, Plane.ACCOUNT, name),
        )
        for i in np.lexsort((rows, -output))[:NAMED]
    )


def _exits(judge: Judge, campaign: Campaign, now: float) -> tuple[list[ExitView], float]:
    """Return the clients of a campaign, busiest first, and the honest share of all their output."""
    links, fade = judge.world.links, judge.world.fade(now)
    uses = {use for account in campaign.accounts for use in judge.world.uses_of(account)}
    rows = [link for use in uses for link in links.of_use(use).tolist()]
    requests: dict[int, float] = {}
    ours = 0.0
    for link in rows:
        if links.last[link] > now - DAY_S:
            client = int(links.client[link])
            requests[client] = requests.get(client, 0.0) + float(links.sums[link, REQUESTS]) * fade
            ours += float(links.sums[link, OUTPUT])
    all_of = sum(float(links.sums[links.of_client(c), OUTPUT].sum()) for c in requests)
    views = []
    for client in sorted(requests, key=lambda c: (-requests[c], c)):
        name = judge.world.clients.name(client)
        share = judge.cases.collateral(client).share if campaign.enforced_at else 0.0
        action = _action(judge, Plane.NETWORK, name)
        views.append(ExitView(name, round(requests[client], 1), round(share, 4), action))
    return views, round(max(0.0, 1.0 - ours / all_of), 4) if all_of else 0.0


def _action(judge: Judge, plane: Plane, name: str) -> str:
    decision = judge.docket.book.get(plane, name)
    return decision.action.value if decision else "none"


def _sentences(
    judge: Judge, campaign: Campaign, brief: CampaignSummary, counts: dict[str, int], now: float
) -> list[str]:
    score, taken = judge.crowd.score(campaign.number, now), brief.ledger
    size = (
        f"campaign {campaign.id}: {number(brief.members)} accounts over {number(counts['exits'])} "
        f"addresses, first seen {number((now - brief.first_seen) / 3600)} h ago."
    )
    ledger = (
        f"It has taken about {number(taken.output_tokens_1h)} output tokens within the hour, "
        f"{number(taken.output_tokens_24h)} within the day, {number(taken.output_tokens_30d)} "
        f"within the month."
    )
    evidence = [f"{evidence_sentence(e)}." for e in score.evidence]
    stands = (
        _enforced(campaign, counts, now)
        if campaign.enforced_at
        else _watched(score, judge.docket.settings.policy)
    )
    tried = [trial_sentence(brief.trial, now)] if brief.trial else []
    return [size, ledger, *_linked(campaign), *evidence, *tried, *stands]


def _enforced(campaign: Campaign, counts: dict[str, int], now: float) -> tuple[str, ...]:
    what = (
        f"It is enforced since {number((now - campaign.enforced_at) / 3600)} h: "
        f"{number(counts['accounts_enforced'])} accounts, {number(counts['exits_enforced'])} "
        f"networks. At its pace before it would have taken about "
        f"{number(saved(campaign, now))} output tokens since."
    )
    cost = (
        f"Behind {number(counts['exits_with_honest_accounts'])} of its addresses others live; "
        f"those are spared, or throttled where they carry little of the traffic."
    )
    return what, cost


def _watched(score: Score, policy: Policy) -> tuple[str, ...]:
    text = (
        f"It is only watched: score {number(score.total)}, of {score.families} families; "
        f"enforcing takes {number(policy.throttle)} and {policy.campaign_families}, among them "
        f"one of how its accounts are driven and one of what is taken."
    )
    return (text,)


def saved(campaign: Campaign, now: float) -> float:
    """Return what a campaign would have taken since it is enforced, at its pace before."""
    return campaign.rate * (now - campaign.enforced_at) if campaign.enforced_at else 0.0


def _linked(campaign: Campaign) -> list[str]:
    n = campaign.numbers
    if not n:
        return []
    by = [
        f"{len(campaign.templates)} prompts for {n['template_share']:.0%} of its requests"
        if campaign.templates
        else "",
        f"addresses in common for {n['shared_exits']:.0%} of its requests"
        if n["shared_exits"] > 0
        else "",
        f"one behaviour (its members differ {number(n['unlikeness'])} times as much as chance)",
    ]
    return [f"What links it: {', '.join(filter(None, by))}."]
