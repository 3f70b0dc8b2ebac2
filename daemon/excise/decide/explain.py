"""Why an entity is treated as it is, in numbers and in plain words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from excise.decide.collateral import Collateral
from excise.decide.guard import Network, parse_network, within
from excise.decide.judge import Judge
from excise.decide.score import Evidence, Score
from excise.decide.words import evidence_sentences, number
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
    own = judge.cases.own_score(subject.kind, subject.row, now)
    around = _around(judge, subject, decisions, now)
    collateral = _accused(judge, subject)
    of_networks = [e for _, of_network in around for e in of_network.evidence]
    return Explanation(
        kind=subject.kind.value,
        name=subject.name,
        score=round(score.total, 2),
        features=features,
        evidence=evidence_views((*score.evidence, *of_networks), now),
        inherited=round(max(0.0, score.total - own.total), 2),
        honest_share=round(collateral.share, 4) if collateral else 0.0,
        decisions=tuple(d.id for d in decisions),
        sentences=(
            *_traffic(subject, features),
            *_handshakes(features),
            *_score_sentences(judge, score, own_name=not around),
            *evidence_sentences(score.evidence),
            *(line for name, of in around for line in _network_sentences(name, of)),
            *_membership(judge, subject),
            *_behind(collateral),
            *_taken(judge, subject, now),
            *_safe(judge, subject, now),
            *(_decision_sentence(d, now) for d in decisions),
        ),
    )


def _around(
    judge: Judge, subject: Subject, decisions: list[Decision], now: float
) -> list[tuple[str, Score]]:
    """Return the subnets by which a client is decided on, with what speaks against them."""
    if subject.kind is not Kind.CLIENT:
        return []
    rows = judge.world.subnets.rows
    found = [(d.target, rows[d.target]) for d in decisions if d.target in rows]
    scores = [(name, judge.cases.own_score(Kind.SUBNET, row, now)) for name, row in found]
    return [(name, score) for name, score in scores if score.evidence]


def _network_sentences(name: str, score: Score) -> list[str]:
    lines = [f"It is judged with its network {name}, whose members act alike:"]
    return lines + evidence_sentences(score.evidence)


def _accused(judge: Judge, subject: Subject) -> Collateral | None:
    """Return who stands behind a client, if anybody there has something to answer for."""
    if subject.kind is not Kind.CLIENT or subject.row is None:
        return None
    behind = judge.cases.collateral(subject.row)
    return behind if behind.culprits else None


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


def evidence_views(evidence: tuple[Evidence, ...], now: float) -> tuple[EvidenceView, ...]:
    """Return evidence as it is shown, with its points at `now`."""
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
        for e in evidence
    )


def _traffic(subject: Subject, f: dict[str, float]) -> list[str]:
    text = (
        f"{subject.kind.value} {subject.name}: {number(f['total'])} requests since it was first "
        f"seen {number(f['age_s'] / 3600)} h ago; over the last day about "
        f"{number(f['requests_24h'])} requests and {number(f['output_tokens_24h'])} output tokens."
    )
    return [text]


def _handshakes(f: dict[str, float]) -> list[str]:
    """Say how far a client's TLS sessions reach beyond its connections, where that is known."""
    if not f.get("tls_handshake_ms"):
        return []
    text = (
        f"Its TLS handshakes take {number(f['tls_handshake_ms'])} ms at least, round trips of its "
        f"connections {number(f['tcp_rtt_ms'])} ms ({number(f['handshakes'])} connections timed)."
    )
    return [text]


def _score_sentences(judge: Judge, score: Score, *, own_name: bool) -> list[str]:
    if not score.evidence:
        alone = "" if own_name else " alone"
        return [f"No rule holds anything against it{alone}."]
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


def _membership(judge: Judge, subject: Subject) -> list[str]:
    """Say to which campaigns an account belongs, or which are behind a client."""
    register = judge.crowd.register.campaigns
    if subject.kind is Kind.ACCOUNT:
        found = [c for c in register.values() if subject.row in c.accounts]
        return [
            f"It is a member of campaign {c.id} ({'enforced' if c.enforced_at else 'watched'}, "
            f"{number(len(c.accounts))} accounts), strength {c.accounts[subject.row or 0]:g}."
            for c in found
        ]
    if subject.kind is Kind.CLIENT and subject.row is not None:
        numbers = judge.cases.campaigns_of_client(subject.row)
        return [f"Members of campaign {register[n].id} use it." for n in numbers]
    return []


def _taken(judge: Judge, subject: Subject, now: float) -> list[str]:
    """Say what it has taken: the ledger."""
    if subject.row is None:
        return []
    at = np.array([subject.row])
    hour, day, month = (
        float(judge.world.decayed(f"output_tokens_{span}", subject.kind, at, now)[0])
        for span in ("1h", "24h", "30d")
    )
    text = (
        f"It has taken about {number(hour)} output tokens within the hour, {number(day)} within "
        f"the day, {number(month)} within the month."
    )
    return [text]


def _behind(c: Collateral | None) -> list[str]:
    if c is None or not c.honest:
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
