"""What the API answers, as values. Grows; never changes the meaning of what is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from excise.model.decision import Decision, DecisionEvent, Op
from excise.model.step import Alarm, Effect, Finding
from excise.model.view import (
    AllowView,
    CampaignDetail,
    CampaignSummary,
    DroppedView,
    EnforcerView,
    EngineStatus,
    EvidenceView,
    ExitView,
    Explanation,
    InputView,
    LedgerView,
    MemberView,
    RuleView,
    ScoredView,
    TrialView,
)


class DecisionView(msgspec.Struct, frozen=True, kw_only=True):
    """An active decision: contract 2 without `op`. Times are epoch seconds, event time.

    `wanted` is the rung that the score asks for; `action` is what the posture lets through.
    `forced`: the operator wants it also where the target is protected or allowed. `dropped`: what
    the kernel took away from the target; absent where it does not count that (single dropped
    addresses, which are in the enforcer's totals) or has not been read yet.
    """

    ts: float
    id: str
    plane: str
    target: str
    action: str
    tier: str | msgspec.UnsetType = msgspec.UNSET
    since: float
    until: float
    score: float
    rules: tuple[str, ...]
    campaign: str | msgspec.UnsetType = msgspec.UNSET
    reason: str
    origin: str
    wanted: int
    strikes: int
    forced: bool = False
    dropped: DroppedView | msgspec.UnsetType = msgspec.UNSET


class DecisionsView(msgspec.Struct, frozen=True):
    """Active decisions, by plane and target."""

    decisions: tuple[DecisionView, ...]


class LiftedView(msgspec.Struct, frozen=True):
    """The decisions that were lifted, as they last were."""

    lifted: tuple[DecisionView, ...]


class NumberView(msgspec.Struct, frozen=True):
    """A feature as a rule compared it with its threshold."""

    feature: str
    value: float
    threshold: float


class EvidenceItem(msgspec.Struct, frozen=True, kw_only=True):
    """One rule's evidence: points now (they decay), when it last fired, what it compared."""

    rule: str
    family: str
    points: float
    fired_ts: float
    about: str
    experimental: bool
    numbers: tuple[NumberView, ...]


class ExplainedView(msgspec.Struct, frozen=True, kw_only=True):
    """Why an address, subnet or account is treated as it is.

    `inherited` are points from what it belongs to; `honest_share` is the share of tokens behind
    a client that looks honest: the collateral of enforcing it (0 for other kinds).
    """

    kind: str
    name: str
    score: float
    inherited: float
    honest_share: float
    sentences: tuple[str, ...]
    features: dict[str, float]
    evidence: tuple[EvidenceItem, ...]
    decisions: tuple[DecisionView, ...]


class SourcesView(msgspec.Struct, frozen=True):
    """Addresses and subnets with evidence, highest score first."""

    sources: tuple[ScoredView, ...]


class AccountsView(msgspec.Struct, frozen=True):
    """Accounts with evidence, highest score first."""

    accounts: tuple[ScoredView, ...]


class CampaignView(ExplainedView, frozen=True, kw_only=True):
    """A campaign explained as other kinds are, with its members, exits and ledger.

    `accounts` and `exits` are the heaviest, 100 at most; `counts` has the numbers of all.
    `honest_share` is that of the output by its exits. `saved_output_tokens` is what it would have
    taken since it is enforced, at its pace before. `trial` is its last trial, null without one.
    """

    id: str
    enforced_ts: float | None
    first_seen: float
    last_seen: float
    ledger: LedgerView
    templates: tuple[str, ...]
    accounts: tuple[MemberView, ...]
    exits: tuple[ExitView, ...]
    counts: dict[str, int]
    saved_output_tokens: float
    trial: TrialView | None = None


class CampaignsView(msgspec.Struct, frozen=True):
    """Campaigns, the enforced ones first, then by score."""

    campaigns: tuple[CampaignSummary, ...]


class AllowedView(msgspec.Struct, frozen=True):
    """Every network that no decision may cover, and why."""

    allow: tuple[AllowView, ...]


class RulesView(msgspec.Struct, frozen=True):
    """The loaded rules with their hit counts."""

    rules: tuple[RuleView, ...]


class PostureView(msgspec.Struct, frozen=True):
    """The posture asked for, the one in force, and why they differ if they do."""

    posture: str
    effective_posture: str
    tripped: str


class StatusView(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon at a glance. `started_ts` is wall clock, `engine.clock` event time."""

    version: str
    started_ts: float
    posture: str
    effective_posture: str
    not_ready: tuple[str, ...]
    rules_loaded: int
    engine: EngineStatus
    enforcer: EnforcerView
    inputs: tuple[InputView, ...]


class AliveView(msgspec.Struct, frozen=True):
    """The loop turns."""

    alive: bool


class ReadyView(msgspec.Struct, frozen=True):
    """Whether the daemon does its job now; if not, why not."""

    ready: bool
    reasons: tuple[str, ...]


Dropped = Callable[[str], DroppedView | None]


def uncounted(_: str) -> None:
    """Stand in where what was taken away is not told."""


def to_view(decision: Decision, dropped: Dropped = uncounted) -> DecisionView:
    """Return a decision as the API shows it; `dropped(id)` is what was taken away."""
    wire = DecisionEvent(decision.since, Op.ADD, decision).to_wire()
    more = {
        "since": wire["ts"],
        "origin": decision.origin.value,
        "wanted": decision.wanted,
        "strikes": decision.strikes,
        "forced": decision.forced,
    }
    view = msgspec.convert(wire | more, DecisionView)
    taken = dropped(decision.id)
    return msgspec.structs.replace(view, dropped=taken) if taken else view


def explained(
    explanation: Explanation, active: list[Decision], dropped: Dropped = uncounted
) -> ExplainedView:
    """Return an explanation with the decisions it names written out."""
    return ExplainedView(
        kind=explanation.kind,
        name=explanation.name,
        score=round(explanation.score, 2),
        inherited=round(explanation.inherited, 2),
        honest_share=explanation.honest_share,
        sentences=explanation.sentences,
        features=explanation.features,
        evidence=tuple(_evidence(item) for item in explanation.evidence),
        decisions=tuple(to_view(d, dropped) for d in active if d.id in explanation.decisions),
    )


def campaign_view(detail: CampaignDetail, active: list[Decision]) -> CampaignView:
    """Return a campaign with the decisions on its members written out."""
    brief, fields = detail.summary, msgspec.structs.asdict(explained(detail.explanation, active))
    return CampaignView(
        **fields,
        id=brief.id,
        enforced_ts=brief.enforced_ts,
        first_seen=brief.first_seen,
        last_seen=brief.last_seen,
        ledger=brief.ledger,
        templates=detail.templates,
        accounts=detail.accounts,
        exits=detail.exits,
        counts=detail.counts,
        saved_output_tokens=detail.saved_output_tokens,
        trial=brief.trial,
    )


def _evidence(item: EvidenceView) -> EvidenceItem:
    return EvidenceItem(
        rule=item.rule,
        family=item.family,
        points=round(item.points, 2),
        fired_ts=item.fired_ts,
        about=item.about,
        experimental=item.experimental,
        numbers=_numbers(item.numbers),
    )


def _numbers(numbers: tuple[tuple[str, float, float], ...]) -> tuple[NumberView, ...]:
    return tuple(NumberView(*number) for number in numbers)


def to_event(effect: Effect) -> tuple[str, dict[str, Any]]:
    """Return (event name, data) of an effect; a decision is the object of contract 2."""
    match effect:
        case DecisionEvent():
            return "decision", effect.to_wire()
        case Finding():
            return "finding", {
                "event": "finding",
                "ts": round(effect.ts, 3),
                "rule": effect.rule,
                "kind": effect.entity.kind.value,
                "name": effect.entity.name,
                "weight": effect.weight,
                "numbers": _numbers(effect.numbers),
            }
        case Alarm():
            return "alarm", {
                "event": "alarm",
                "ts": round(effect.ts, 3),
                "code": effect.code,
                "text": effect.text,
            }
