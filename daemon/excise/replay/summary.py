"""The end of a replay as values, ready for JSON. Pure. docs/replay.md says what each means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from excise.replay.covering import Cover

TOP_TARGETS = 15


class Share(msgspec.Struct):
    """A part of the traffic."""

    records: int = 0
    output_tokens: int = 0

    def add(self, other: Share) -> None:
        """Take another part in."""
        self.records += other.records
        self.output_tokens += other.output_tokens


class TargetLine(msgspec.Struct, frozen=True):
    """What one target would have met; `action` and `reason` are the strictest decision's."""

    plane: str
    target: str
    action: str
    tier: str | None
    decisions: int
    records: int
    output_tokens: int
    reason: str


class BystanderLine(msgspec.Struct, frozen=True):
    """A client with an account that a decision covered, though neither had evidence of its own."""

    client: str
    account: str
    action: str
    target: str
    records: int
    output_tokens: int


class RuleLine(msgspec.Struct, frozen=True):
    """What rests on one rule; a decision that rests on several counts for each of them."""

    rule: str
    fired: int
    decisions: int
    records: int
    output_tokens: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    lines: int
    rejects: dict[str, int]
    unknown_fields: int
    first_ts: float | None
    last_ts: float | None
    traffic: Share
    throttled: Share
    stopped: Share
    bystanders: Share
    unexamined: Share
    changes: dict[str, int]
    targets_enforced: int
    targets: tuple[TargetLine, ...]
    rules: tuple[RuleLine, ...]
    alarms: tuple[str, ...]
    alarm_count: int


def target_lines(covers: Iterable[Cover]) -> tuple[TargetLine, ...]:
    """Return the targets under most output tokens, then records, heaviest first."""
    by_target: dict[tuple[str, str], list[Cover]] = {}
    for cover in covers:
        by_target.setdefault((cover.decision.plane.value, cover.decision.target), []).append(cover)
    lines = [_target_line(plane, target, of) for (plane, target), of in by_target.items()]
    lines.sort(key=lambda line: (-line.output_tokens, -line.records, line.plane, line.target))
    return tuple(lines[:TOP_TARGETS])


def _target_line(plane: str, target: str, covers: Sequence[Cover]) -> TargetLine:
    strictest = max(
        covers, key=lambda cover: (cover.decision.wanted, cover.decision.since)
    ).decision
    share = Share()
    for cover in covers:
        share.add(share_of(cover.met.values()))
    return TargetLine(
        plane=plane,
        target=target,
        action=strictest.action.value,
        tier=strictest.tier,
        decisions=len({cover.decision.id for cover in covers}),
        records=share.records,
        output_tokens=share.output_tokens,
        reason=strictest.reason,
    )


def rule_lines(covers: Iterable[Cover], fired: Counter[str]) -> tuple[RuleLine, ...]:
    """Return the rules that fired or that decisions rest on, by what they would have met."""
    shares: dict[str, Share] = {rule: Share() for rule in fired}
    ids: dict[str, set[str]] = {rule: set() for rule in fired}
    for cover in covers:
        for rule in cover.decision.rules:
            shares.setdefault(rule, Share()).add(share_of(cover.met.values()))
            ids.setdefault(rule, set()).add(cover.decision.id)
    lines = [
        RuleLine(rule, fired[rule], len(ids[rule]), share.records, share.output_tokens)
        for rule, share in shares.items()
    ]
    return tuple(sorted(lines, key=lambda line: (-line.output_tokens, -line.fired, line.rule)))


def share_of(met: Iterable[list[int]]) -> Share:
    """Return the sum of (records, output tokens)."""
    share = Share()
    for records, output_tokens in met:
        share.records += records
        share.output_tokens += output_tokens
    return share
