"""Why an entity is treated as it is, in numbers and in plain words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from excise.decide.guard import Network, parse_network, within
from excise.decide.judge import Judge
from excise.decide.score import Score
from excise.decide.words import evidence_sentence, number
from excise.errors import InvalidError, NotFoundError
from excise.features.directory import client_name
from excise.features.table import FEATURES
from excise.features.values import resting
from excise.model.decision import Decision, Plane
from excise.model.entity import Kind
from excise.model.record import short_name
from excise.model.view import EvidenceView, Explanation
from excise.rules.schema import Maturity

#: the prefix of a client, by IP version
CLIENT_BITS = {4: 32, 6: 64}


@dataclass(frozen=True, slots=True)
class Subject:
    """What a name stands for: the kind, its row if it was ever seen, its canonical name."""

    kind: Kind
    row: int | None
    name: str
    #: the networks that were asked for and that stand for it
    networks: tuple[Network, ...] = ()


def find(judge: Judge, text: str) -> Subject:
    """Find what a person means by a name. Raises NotFoundError."""
    world, text = judge.world, short_name(text)
    try:
        network = parse_network(text)
    except InvalidError:
        for kind in (Kind.ACCOUNT, Kind.TEMPLATE, Kind.STACK):
            row = world.interner(kind).rows.get(text)
            if row is not None and text:
                return Subject(kind, row, text)
        if judge.docket.book.get(Plane.ACCOUNT, text):
            return Subject(Kind.ACCOUNT, None, text)
        raise NotFoundError(
            f"{text!r} is no address, and no account, template or stack seen here"
        ) from None
    name, client = str(network), network.prefixlen >= CLIENT_BITS[network.version]
    if client and network.version == 6:
        name = client_name(6, int(network.network_address) >> 64)
    networks = tuple({network, parse_network(name)})
    for kind in (Kind.CLIENT, Kind.SUBNET):
        row = world.interner(kind).rows.get(name)
        if row is not None:
            return Subject(kind, row, name, networks)
    kind = Kind.CLIENT if client else Kind.SUBNET
    unseen = Subject(kind, None, str(network), networks)
    if _decisions(judge, unseen):
        return unseen
    raise NotFoundError(f"{network} has not been seen, and nothing is decided about it")


def explain(judge: Judge, text: str, now: float) -> Explanation:
    """Explain an address, CIDR, account, stack or template. Raises NotFoundError."""
    subject = find(judge, text)
    decisions = _decisions(judge, subject)
    if subject.row is None:
        return Explanation(
            kind=subject.kind.value,
            name=subject.name,
            score=decisions[0].score if decisions else 0.0,
            features={},
            evidence=(),
            inherited=0.0,
            honest_share=0.0,
            decisions=tuple(d.id for d in decisions),
            sentences=tuple(_decision_sentence(d, now) for d in decisions),
        )
    score = judge.cases.score(subject.kind, subject.row, now)
    features = _features(judge, subject.kind, subject.row, now)
    own = judge.cases.dossiers[subject.kind].get(subject.row)
    own_total = (
        sum(min(judge.docket.settings.policy.family_cap, p) for p in own.points(now).values())
        if own
        else 0.0
    )
    collateral = judge.cases.collateral(subject.row) if subject.kind is Kind.CLIENT else None
    return Explanation(
        kind=subject.kind.value,
        name=subject.name,
        score=round(score.total, 2),
        features=features,
        evidence=_evidence(score, now),
        inherited=round(max(0.0, score.total - own_total), 2),
        honest_share=round(collateral.share, 4) if collateral else 0.0,
        decisions=tuple(d.id for d in decisions),
        sentences=(
            *_traffic(subject, features),
            *_score_sentences(judge, score),
            *(f"{evidence_sentence(e)}." for e in score.evidence),
            *_behind(judge, subject),
            *_safe(judge, subject, now),
            *(_decision_sentence(d, now) for d in decisions),
        ),
    )


def _decisions(judge: Judge, subject: Subject) -> list[Decision]:
    """Return decisions on the subject, or on a network around it."""
    if subject.kind is Kind.ACCOUNT:
        found = judge.docket.book.get(Plane.ACCOUNT, subject.name)
        return [found] if found else []
    if subject.kind not in (Kind.CLIENT, Kind.SUBNET):
        return []
    return [
        d
        for _, d in sorted(judge.docket.book.active.items())
        if d.plane is Plane.NETWORK
        and any(within(network, parse_network(d.target)) for network in subject.networks)
    ]


def _features(judge: Judge, kind: Kind, row: int, now: float) -> dict[str, float]:
    table = judge.world.tables[kind]
    view = resting(table, np.array([row]), now, judge.world.landmark)
    names = [f.name for f in FEATURES.values() if kind in f.kinds]
    return {name: round(float(view[name][0]), 3) for name in names}


def _evidence(score: Score, now: float) -> tuple[EvidenceView, ...]:
    return tuple(
        EvidenceView(
            rule=e.rule.id,
            family=e.rule.family.value,
            points=round(e.points(now), 2),
            fired_ts=e.fired,
            about=e.rule.about,
            numbers=e.numbers,
            experimental=e.rule.maturity is Maturity.EXPERIMENTAL,
        )
        for e in score.evidence
    )


def _traffic(subject: Subject, f: dict[str, float]) -> list[str]:
    text = (
        f"{subject.kind.value} {subject.name}: {number(f['total'])} requests since it was first "
        f"seen {number(f['age_s'] / 3600)} h ago; over the last day about "
        f"{number(f['requests_24h'])} requests and {number(f['output_tokens_24h'])} output tokens."
    )
    return [text]


def _score_sentences(judge: Judge, score: Score) -> list[str]:
    if not score.evidence:
        return ["No rule holds anything against it."]
    policy = judge.docket.settings.policy
    parts = ", ".join(
        f"{family.value} {points:.0f}"
        for family, points in sorted(score.points.items(), key=lambda item: -item[1])
        if points >= 1.0
    )
    hint = f" (experimental rules would add {score.hint:.0f})" if score.hint >= 1.0 else ""
    text = (
        f"Score {score.total:.0f} of {policy.drop:.0f} that a drop takes "
        f"(throttle from {policy.throttle:.0f}): {parts or 'nothing firm'}{hint}."
    )
    return [text]


def _behind(judge: Judge, subject: Subject) -> list[str]:
    if subject.kind is not Kind.CLIENT or subject.row is None:
        return []
    c = judge.cases.collateral(subject.row)
    if not c.honest:
        return []
    text = (
        f"{c.honest} other accounts share the address, with {c.honest_tokens:.0%} of its output "
        f"tokens; {len(c.culprits)} carry the rest."
    )
    return [text]


def _safe(judge: Judge, subject: Subject, now: float) -> list[str]:
    if subject.kind not in (Kind.CLIENT, Kind.SUBNET):
        return []
    allowed = judge.docket.guard.covering(parse_network(subject.name), now)
    if allowed is None:
        return []
    return [f"It is never blocked: {allowed.network} is safe ({allowed.origin})."]


def _decision_sentence(d: Decision, now: float) -> str:
    action = d.action.value if d.tier is None else f"{d.action.value} ({d.tier})"
    left = max(0.0, d.until - now) / 60
    return (
        f"Decision {d.id} by {d.origin.value}: {action} {d.target} on the {d.plane.value} plane, "
        f"{left:.0f} min left: {d.reason}."
    )
