"""What a replay would have done to the traffic it read. Pure.

A replay cannot change the past: a source that would have been stopped keeps appearing in the
log. "Under enforcement" therefore means: requests that were logged while a decision covered them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from ipaddress import IPv6Address, ip_address, ip_network
from math import inf

from excise.model.decision import Action, DecisionEvent, Op
from excise.model.entity import Kind
from excise.model.record import Decoded, Record
from excise.model.step import Alarm, Effect, Finding
from excise.replay.covering import Cover, Covering
from excise.replay.summary import Share, Summary, rule_lines, share_of, target_lines

#: (client, account) pairs under enforcement that are told apart; later ones count together
MAX_PAIRS = 1_000_000
BEYOND = ("", "")
MAX_ALARMS = 20


class Accounting:
    """Follows records and decisions side by side. `trusted`: ids of rules that may enforce."""

    def __init__(self, trusted: Iterable[str]) -> None:
        self._trusted = frozenset(trusted)
        self._covering = Covering()
        self._covers: dict[tuple[str, Action], Cover] = {}
        self._pairs = 0
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
        self._total.output_tokens += sum([r.output_tokens for r in records if r.output_tokens > 0])
        times = [record.ts for record in records]
        low, high = self._span or (times[0], times[0])
        self._span = (min(low, *times), max(high, *times))

    def _finding(self, finding: Finding) -> None:
        self._fired[finding.rule] += 1
        if finding.rule not in self._trusted:
            return
        entity = finding.entity
        if entity.kind is Kind.USE:
            self._evident.add((Kind.ACCOUNT, entity.name.partition(" via ")[0]))
        else:
            self._evident.add((entity.kind, entity.name))

    def _alarm(self, alarm: Alarm) -> None:
        self._alarm_count += 1
        if len(self._alarms) < MAX_ALARMS:
            self._alarms.append(alarm)

    def _walk(self, records: Sequence[Record], changes: Sequence[DecisionEvent]) -> None:
        at = 0
        for change in changes:
            at = self._until(records, at, change.ts)
            self._change(change)
        self._until(records, at, inf)

    def _change(self, change: DecisionEvent) -> None:
        self._changes[change.op.value] += 1
        decision = change.decision
        cover = None
        if decision.enforcing and change.op not in (Op.LIFT, Op.EXPIRE):
            key = (decision.id, decision.action)
            cover = self._covers.setdefault(key, Cover(decision))
            cover.decision = decision
        self._covering.put(decision.plane, decision.target, cover)

    def _until(self, records: Sequence[Record], at: int, ts: float) -> int:
        """Charge records from `at` on that came before `ts`; return where that ends."""
        end = len(records)
        if not self._covering:
            while at < end and records[at].ts < ts:
                at += 1
            return at
        find = self._covering.find
        while at < end and (record := records[at]).ts < ts:
            cover = find(record)
            if cover and cover.decision.until > record.ts:
                self._charge(record, cover)
            at += 1
        return at

    def _charge(self, record: Record, cover: Cover) -> None:
        key = (record.client, record.account)
        met = cover.met.get(key)
        if met is None:
            if self._pairs >= MAX_PAIRS:
                key = BEYOND
            self._pairs += 1
            met = cover.met.setdefault(key, [0, 0])
        met[0] += 1
        if record.output_tokens > 0:
            met[1] += record.output_tokens

    def summary(self) -> Summary:
        """Return the sum of everything so far."""
        throttled, stopped, bystanders, in_campaign = Share(), Share(), Share(), Share()
        for cover in self._covers.values():
            (stopped if cover.stops else throttled).add(share_of(cover.met.values()))
            unsuspected = [
                met
                for pair, met in cover.met.items()
                if pair != BEYOND and not self._evidence(pair)
            ]
            (in_campaign if cover.decision.campaign else bystanders).add(share_of(unsuspected))
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
            campaign_members=in_campaign,
            unexamined=share_of(c.met[BEYOND] for c in self._covers.values() if BEYOND in c.met),
            changes=dict(sorted(self._changes.items())),
            targets_enforced=len(
                {(c.decision.plane, c.decision.target) for c in self._covers.values()}
            ),
            targets=target_lines(self._covers.values()),
            rules=rule_lines(self._covers.values(), self._fired),
            alarms=tuple(f"{alarm.code}: {alarm.text}" for alarm in self._alarms),
            alarm_count=self._alarm_count,
        )

    def _evidence(self, pair: tuple[str, str]) -> bool:
        client, account = pair
        if account and (Kind.ACCOUNT, account) in self._evident:
            return True
        return (Kind.CLIENT, client_name(client)) in self._evident


def client_name(address: str) -> str:
    """Return the name of the client entity behind an address: its /32, or its v6 /64."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((int(parsed) >> 64 << 64, 64)))
    return f"{parsed}/32"
