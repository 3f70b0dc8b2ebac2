"""What a person or a program is shown of the core: read-only values, ready for JSON."""

from __future__ import annotations

import msgspec


class EvidenceView(msgspec.Struct, frozen=True):
    """One rule's evidence on an entity: points now, when it last fired, the numbers it saw."""

    rule: str
    family: str
    points: float
    fired_ts: float
    about: str
    numbers: tuple[tuple[str, float, float], ...]
    experimental: bool = False


class ScoredView(msgspec.Struct, frozen=True):
    """An entity with evidence, and its score now."""

    kind: str
    name: str
    score: float
    families: tuple[str, ...]
    rules: tuple[str, ...]
    first_seen: float
    last_seen: float
    requests_24h: float
    output_tokens_24h: float


class Explanation(msgspec.Struct, frozen=True):
    """Why an entity is treated as it is: numbers, evidence, and sentences for a person."""

    kind: str
    name: str
    score: float
    features: dict[str, float]
    evidence: tuple[EvidenceView, ...]
    inherited: float
    honest_share: float
    decisions: tuple[str, ...]
    sentences: tuple[str, ...]


class LedgerView(msgspec.Struct, frozen=True):
    """Output tokens taken, decayed with half-lives of 1 h, 24 h and 30 d."""

    output_tokens_1h: float
    output_tokens_24h: float
    output_tokens_30d: float


class MemberView(msgspec.Struct, frozen=True):
    """A member of a campaign: `strength` 1 where two things speak for it, 0.5 where one does."""

    account: str
    strength: float
    first_seen: float
    last_seen: float
    output_tokens_24h: float
    action: str


class ExitView(msgspec.Struct, frozen=True):
    """An address that a campaign uses, with the share of honest traffic or accounts behind it."""

    client: str
    requests_24h: float
    honest_share: float
    action: str


class TrialView(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign's last trial: some of its accounts were slowed, to see whether others make up.

    `state` is `running`, `shifted` (they did), `unmoved`, or `void` (it says nothing, `why`).
    `slowed` and `rest` are numbers of accounts; `expected_z` is what the trial could have shown.
    `p`, `gained_requests` of the rest and `lost_requests` of the slowed are None unless it speaks.
    """

    state: str
    begun_ts: float
    until_ts: float
    slowed: int
    rest: int
    expected_z: float
    p: float | None
    gained_requests: float | None
    lost_requests: float | None
    why: str


class TrialsView(msgspec.Struct, frozen=True):
    """Whether trials are on, how many campaigns are under one now, and how many accounts slowed."""

    enabled: bool = False
    running: int = 0
    accounts: int = 0


class CampaignSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign in a list. `enforced_ts` is None while it is only watched.

    `trial` is its last trial, None if there was none.
    """

    id: str
    score: float
    families: tuple[str, ...]
    rules: tuple[str, ...]
    enforced_ts: float | None
    first_seen: float
    last_seen: float
    members: int
    ledger: LedgerView
    trial: TrialView | None = None


class CampaignDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign explained.

    `kind`, `name`, `score`, `features`, `evidence`, `decisions` and `sentences` are those of any
    explanation. `accounts` and `exits` are the heaviest, 100 at most; `counts` has the numbers of
    all. `saved_output_tokens` is what it would have taken since it is enforced, at its pace before.
    """

    explanation: Explanation
    summary: CampaignSummary
    templates: tuple[str, ...]
    accounts: tuple[MemberView, ...]
    exits: tuple[ExitView, ...]
    counts: dict[str, int]
    honest_share: float
    saved_output_tokens: float


class SignalView(msgspec.Struct, frozen=True):
    """A field of the record, the share of recent requests that have it, and what is blind without.

    `share` is None before the first request.
    """

    field: str
    share: float | None
    needed_for: str
    blind: bool


class TableView(msgspec.Struct, frozen=True):
    """How full a table is."""

    kind: str
    rows: int
    capacity: int
    evicted: int


class AllowView(msgspec.Struct, frozen=True):
    """One allowed or protected network; `until` is None for good."""

    cidr: str
    origin: str
    until: float | None


class RuleView(msgspec.Struct, frozen=True):
    """A loaded rule and how often it fired."""

    id: str
    family: str
    kind: str
    maturity: str
    weight: float
    about: str
    hits: int


class EngineStatus(msgspec.Struct, frozen=True):
    """The core at a glance.

    `tripped`: why the governor holds the posture at observe. `peers_doubted`: why no network is
    enforced, since the clients in the log seem to be proxies.
    """

    clock: float
    posture: str
    effective_posture: str
    tripped: str
    records: int
    late: int
    clock_jumps: int
    entities_with_evidence: int
    active_decisions: int
    enforcing_decisions: int
    tables: tuple[TableView, ...]
    peers_doubted: str = ""
    campaigns: int = 0
    enforced_campaigns: int = 0
    members: int = 0
    signals: tuple[SignalView, ...] = ()
    trials: TrialsView = TrialsView()


class InputView(msgspec.Struct, frozen=True):
    """One input: where it stands, how far behind, what it refused, when it last heard anything.

    `lag_s` is the age of the newest line read while there are newer ones; `losses` is what never
    arrived, by kind; `last_line_ts` is the time in the newest line, `last_heard_ts` the wall
    clock when one last came. `problem` says why it is blind or silent, `note` what else to know.
    """

    name: str
    format: str
    state: str
    position: dict[str, int | str]
    lag_bytes: int
    lines: int
    records: int
    rejects: dict[str, int]
    unknown_fields: int
    last_line_ts: float | None
    problem: str = ""
    lag_s: float = 0.0
    losses: dict[str, int] = {}
    last_heard_ts: float | None = None
    note: str = ""


class CountView(msgspec.Struct, frozen=True):
    """Packets and bytes that the kernel took away."""

    packets: int
    bytes: int


class AuditView(msgspec.Struct, frozen=True):
    """Who else changes the kernel's tables: `state` is `listening`, `off`, or why it cannot be.

    `foreign`: transactions of others that concerned our tables; `others`: that did not; `lost`:
    how often the kernel had more to tell than there was room for. `last` says the newest.
    """

    state: str = "off"
    foreign: int = 0
    others: int = 0
    lost: int = 0
    last: str = ""
    last_ts: float | None = None


class EnforcerView(msgspec.Struct, frozen=True):
    """The kernel side: which backend, whether it agrees with the decisions, how it went.

    `lapsed` decisions have ended by the wall clock though not in event time: not enforced.
    `evicted` ones found no room in the kernel.
    `dropped` is all that was taken away since the daemon came up, by measure (`drop`, `egress`,
    `ingress`, `connections`); `throttled` the part of the throttles, by tier and measure, as last
    read. `counted_ts` is when (epoch seconds, wall clock), None: never, or not counted.
    """

    backend: str
    in_sync: bool
    entries: int
    changes: int
    repairs: int
    failures: int
    problem: str = ""
    lapsed: int = 0
    evicted: int = 0
    dropped: dict[str, CountView] = {}
    throttled: dict[str, dict[str, CountView]] = {}
    counted_ts: float | None = None
    audit: AuditView = AuditView()


class DroppedView(msgspec.Struct, frozen=True):
    """What was taken away from a decision's target while the daemon ran, as last read.

    `measures` has it by measure, as in `EnforcerView`; `counted_ts` is when it was read.
    """

    packets: int
    bytes: int
    measures: dict[str, CountView]
    counted_ts: float


class ReloadView(msgspec.Struct, frozen=True):
    """What a reload did.

    `errors` is empty when the new set is in force; the changed keys of the configuration named in
    `restart` take effect with the next start.
    """

    applied: bool
    rules: int
    errors: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()


class PushView(msgspec.Struct, frozen=True):
    """What became of pushed records."""

    accepted: int
    rejects: dict[str, int]
