"""What a replay would have done to the traffic it read. Pure.

A replay cannot change the past: a source that would have been stopped keeps appearing in the
log. "Under enforcement" therefore means: requests that were logged while a decision covered them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from ipaddress import IPv6Address, ip_address, ip_network
from math import inf
from operator import attrgetter

from excise.model.decision import Decision, DecisionEvent, Plane
from excise.model.entity import Kind
from excise.model.record import Decoded, Record
from excise.model.step import Alarm, Effect, Finding
from excise.replay.chronicle import Chronicle
from excise.replay.covering import BEYOND, Covering
from excise.replay.summary import (
    BystanderLine,
    Share,
    Summary,
    rule_lines,
    share_of,
    target_lines,
)

MAX_ALARMS = 20
_ts = attrgetter("ts")
_output_tokens = attrgetter("output_tokens")


class Accounting:
    """Follows records and decisions side by side.

    `trusted`: ids of rules that may enforce. `chronicle` keeps what a report shows, if given.
    """

    def __init__(self, trusted: Iterable[str], chronicle: Chronicle | None = None) -> None:
        self._trusted = frozenset(trusted)
        self._chronicle = chronicle
        self._covering = Covering(chronicle)
        self._evident: set[tuple[Kind, str]] = set()
        self._fired: Counter[str] = Counter()
        self._changes: Counter[str] = Counter()
        self._rejects: Counter[str] = Counter()
        self._lines = self._unknown = 0
        self._total = Share()
        self._span: tuple[float, float] | None = None
        self._alarms: list[Alarm] = []
        self._alarm_count = 0

    def decoded(self, lines: int, decoded: Decoded) -> None:
        """Count what became of lines."""
        self._lines += lines
        self._unknown += decoded.unknown_fields
        self._rejects.update(reject.reason for reject in decoded.rejects)

    def take(self, records: Sequence[Record], effects: Iterable[Effect]) -> list[DecisionEvent]:
        """Count records, in the order of the log, and what the engine made of them.

        Return the changes of decisions among the effects.
        """
        changes = []
        for effect in effects:
            if isinstance(effect, DecisionEvent):
                changes.append(effect)
                self._member(effect.decision)
            elif isinstance(effect, Finding):
                self._finding(effect)
            else:
                self._alarm(effect)
        if records:
            self._count(records)
        self._walk(records, changes)
        return changes

    def _count(self, records: Sequence[Record]) -> None:
        self._total.records += len(records)
        tokens = list(map(_output_tokens, records))
        self._total.output_tokens += sum(tokens) + tokens.count(-1)  # -1: not known
        times = list(map(_ts, records))
        low, high = self._span or (times[0], times[0])
        self._span = (min(low, *times), max(high, *times))
        if self._chronicle is not None:
            self._chronicle.count(times, tokens)

    def _finding(self, finding: Finding) -> None:
        self._fired[finding.rule] += 1
        if finding.rule not in self._trusted:
            return
        entity = finding.entity
        if entity.kind is Kind.USE:
            self._evident.add((Kind.ACCOUNT, entity.name.partition(" via ")[0]))
        else:
            self._evident.add((entity.kind, entity.name))

    def _member(self, decision: Decision) -> None:
        """Take the evidence on a campaign for evidence on the accounts that are enforced for it."""
        if decision.campaign and decision.enforcing and decision.plane is Plane.ACCOUNT:
            self._evident.add((Kind.ACCOUNT, decision.target))

    def _alarm(self, alarm: Alarm) -> None:
        self._alarm_count += 1
        if len(self._alarms) < MAX_ALARMS:
            self._alarms.append(alarm)

    def _walk(self, records: Sequence[Record], changes: Sequence[DecisionEvent]) -> None:
        # A line that claims to come from the future holds this walk up, for the rest of its chunk
        # at most; the engine's own clock does not believe it either.
        at = 0
        for change in changes:
            at = self._covering.follow(records, at, change.ts)
            self._covering.take(change)
            if self._chronicle is not None:
                self._chronicle.change(change)
            self._changes[change.op.value] += 1
        self._covering.follow(records, at, inf)

    def summary(self) -> Summary:
        """Return the sum of everything so far."""
        covers = self._covering.covers()
        throttled, stopped, bystanders = Share(), Share(), Share()
        for cover in covers:
            (stopped if cover.stops else throttled).add(share_of(cover.met.values()))
            unsuspected = [met for pair, met in cover.met.items() if not self._evidence(pair)]
            bystanders.add(share_of(unsuspected))
        first, last = self._span or (None, None)
        return Summary(
            lines=self._lines,
            rejects=dict(sorted(self._rejects.items())),
            unknown_fields=self._unknown,
            first_ts=first,
            last_ts=last,
            traffic=self._total,
            throttled=throttled,
            stopped=stopped,
            bystanders=bystanders,
            unexamined=share_of(c.met[BEYOND] for c in covers if BEYOND in c.met),
            changes=dict(sorted(self._changes.items())),
            targets_enforced=len({(c.decision.plane, c.decision.target) for c in covers}),
            targets=target_lines(covers),
            rules=rule_lines(covers, self._fired),
            alarms=tuple(f"{alarm.code}: {alarm.text}" for alarm in self._alarms),
            alarm_count=self._alarm_count,
        )

    def bystanders(self) -> list[BystanderLine]:
        """Return who was met without evidence of its own, most output tokens first."""
        lines = [
            BystanderLine(
                client=pair[0],
                account=pair[1],
                action=cover.decision.action.value,
                target=cover.decision.target,
                records=met[0],
                output_tokens=met[1],
            )
            for cover in self._covering.covers()
            for pair, met in cover.met.items()
            if not self._evidence(pair)
        ]
        return sorted(lines, key=lambda x: (-x.output_tokens, -x.records, x.client, x.account))

    def _evidence(self, pair: tuple[str, str]) -> bool:
        # What is beyond counting is not called a bystander: it is reported as unexamined.
        client, account = pair
        if pair == BEYOND:
            return True
        if account and (Kind.ACCOUNT, account) in self._evident:
            return True
        return (Kind.CLIENT, client_name(client)) in self._evident


def client_name(address: str) -> str:
    """Return the name of the client entity behind an address: its /32, or its v6 /64."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((int(parsed) >> 64 << 64, 64)))
    return f"{parsed}/32"
