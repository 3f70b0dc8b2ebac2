"""The metrics: what is counted and measured, read from the daemon at each scrape.

Labels are bounded by configuration and rules; never an address, never an account.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from excise import __version__
from excise.api.control import Control
from excise.api.exposition import Metric, by_label, one
from excise.api.tally import Tally
from excise.model.decision import Decision, Posture
from excise.model.view import EnforcerView, EngineStatus, InputView, RuleView, TableView


def gather(control: Control) -> list[Metric]:
    """Return every metric as it is now."""
    engine, status = control.engine, control.engine.status()
    return [
        by_label("excise_info", "Version.", "version", {__version__: 1}),
        one("excise_start_time_seconds", "Unix time of start.", control.started_ts),
        one("excise_ready", "1 if nothing keeps excise from its job.", not control.not_ready()),
        *_core(status),
        *_tables(status.tables),
        *_inputs(control.inputs()),
        *_decisions(control.tally, engine.decisions()),
        *_rules(engine.rules()),
        *_reloads(control.tally),
        *_enforcer(control.enforcer()),
    ]


def _core(s: EngineStatus) -> list[Metric]:
    asked = {p.value: p.value == s.posture for p in Posture}
    in_force = {p.value: p.value == s.effective_posture for p in Posture}
    return [
        one("excise_records_total", "Records the engine took.", s.records),
        one("excise_late_records_total", "Records too old to count.", s.late),
        one("excise_clock_jumps_total", "Jumps of event time.", s.clock_jumps),
        one("excise_event_time_seconds", "Event time, Unix seconds.", s.clock),
        one("excise_entities_with_evidence", "Entities some rule fired for.",
            s.entities_with_evidence),
        by_label("excise_posture", "1 for the posture asked for.", "posture", asked),
        by_label("excise_effective_posture", "1 for the posture in force.", "posture", in_force),
        by_label("excise_campaigns", "Campaigns, by whether they are enforced.", "state",
                 {"enforced": s.enforced_campaigns, "watched": s.campaigns - s.enforced_campaigns}),
        one("excise_campaign_members", "Accounts of enforced campaigns.", s.members),
        one("excise_trials", "Campaigns under trial.", s.trials.running),
        one("excise_trial_accounts", "Accounts slowed for trials.", s.trials.accounts),
        by_label("excise_field_share", "Share of recent requests that have a field.", "field",
                 {v.field: v.share for v in s.signals if v.share is not None}),
        one("excise_governor_tripped", "1 while the governor holds back.", bool(s.tripped)),
    ]  # fmt: skip


def _tables(tables: Iterable[TableView]) -> list[Metric]:
    rows = {t.kind: t.rows for t in tables}
    capacity = {t.kind: t.capacity for t in tables}
    evicted = {t.kind: t.evicted for t in tables}
    return [
        by_label("excise_table_rows", "Rows in use.", "kind", rows),
        by_label("excise_table_capacity_rows", "Rows there is room for.", "kind", capacity),
        by_label("excise_table_evictions_total", "Rows forgotten for room.", "kind", evicted),
    ]


def _inputs(inputs: list[InputView]) -> list[Metric]:
    rejects = tuple(
        ({"input": i.name, "reason": reason}, n)
        for i in inputs
        for reason, n in sorted(i.rejects.items())
    )
    losses = tuple(
        ({"input": i.name, "kind": kind}, n) for i in inputs for kind, n in sorted(i.losses.items())
    )
    heard = {i.name: i.last_line_ts for i in inputs if i.last_line_ts is not None}
    return [
        by_label("excise_input_lines_total", "Lines read.", "input",
                 {i.name: i.lines for i in inputs}),
        by_label("excise_input_records_total", "Lines decoded into records.", "input",
                 {i.name: i.records for i in inputs}),
        Metric("excise_input_rejects_total", "Lines refused, by reason.", rejects),
        by_label("excise_input_unknown_fields_total", "Fields ignored.", "input",
                 {i.name: i.unknown_fields for i in inputs}),
        by_label("excise_input_lag_bytes", "Bytes written but not yet read.", "input",
                 {i.name: i.lag_bytes for i in inputs}),
        by_label("excise_input_lag_seconds", "Age of the newest line read, while there are newer.",
                 "input", {i.name: i.lag_s for i in inputs}),
        Metric("excise_input_losses_total", "What never arrived, by kind.", losses),
        by_label("excise_input_last_heard_seconds", "Unix time when a line last came.", "input",
                 {i.name: i.last_heard_ts for i in inputs if i.last_heard_ts is not None}),
        by_label("excise_input_problem", "1 while the input is blind or silent.", "input",
                 {i.name: bool(i.problem) for i in inputs}),
        by_label("excise_input_last_line_seconds", "Unix time of the newest line.", "input",
                 heard),
    ]  # fmt: skip


def _decisions(tally: Tally, active: list[Decision]) -> list[Metric]:
    changes = tuple(
        ({"op": op, "plane": plane, "action": action}, n)
        for (op, plane, action), n in sorted(tally.decisions.items())
    )
    now = Counter((d.plane.value, d.action.value) for d in active)
    standing = tuple(
        ({"plane": plane, "action": action}, n) for (plane, action), n in sorted(now.items())
    )
    return [
        Metric("excise_decisions_total", "Changes of decisions.", changes),
        Metric("excise_active_decisions", "Decisions that stand.", standing),
        by_label("excise_alarms_total", "Alarms, by code.", "code", tally.alarms),
    ]


def _rules(rules: list[RuleView]) -> list[Metric]:
    hits = {r.id: r.hits for r in rules}
    return [
        one("excise_rules_loaded", "Rules in force.", len(rules)),
        by_label("excise_rule_hits_total", "Times a rule fired.", "rule", hits),
    ]


def _reloads(tally: Tally) -> list[Metric]:
    results = {"applied": tally.reloads_applied, "refused": tally.reloads_refused}
    ts = tally.last_reload_ts
    return [
        by_label("excise_reloads_total", "Reloads, by result.", "result", results),
        one("excise_last_reload_success", "1 if the last reload was applied.",
            tally.last_reload_applied),
        Metric("excise_last_reload_seconds", "Unix time of the last reload.",
               () if ts is None else (({}, ts),)),
    ]  # fmt: skip


def _enforcer(view: EnforcerView) -> list[Metric]:
    backend = view.backend
    return [
        by_label("excise_enforcer_in_sync", "1 if the kernel holds what was decided.",
                 "backend", {backend: view.in_sync}),
        by_label("excise_enforcer_entries", "Entries that the kernel holds.",
                 "backend", {backend: view.entries}),
        by_label("excise_enforcer_changes_total", "Changes made.",
                 "backend", {backend: view.changes}),
        by_label("excise_enforcer_repairs_total", "Times the kernel's state was rebuilt.",
                 "backend", {backend: view.repairs}),
        by_label("excise_enforcer_failures_total", "Changes the kernel did not take.",
                 "backend", {backend: view.failures}),
        by_label("excise_enforcer_lapsed", "Decisions past by the wall clock alone.",
                 "backend", {backend: view.lapsed}),
        by_label("excise_enforcer_foreign_changes_total", "Changes of its tables by others.",
                 "backend", {backend: view.audit.foreign}),
        by_label("excise_enforcer_audit_lost_total", "Times changes of others went unheard.",
                 "backend", {backend: view.audit.lost}),
        *_taken(view),
    ]  # fmt: skip


def _taken(view: EnforcerView) -> list[Metric]:
    """Return what the kernel took away: of all measures, and of the throttles by tier."""
    tiers = tuple(
        ({"tier": tier, "measure": measure}, count)
        for tier, measures in sorted(view.throttled.items())
        for measure, count in measures.items()
    )
    read = {} if view.counted_ts is None else {view.backend: view.counted_ts}
    return [
        by_label("excise_dropped_packets_total", "Packets taken away, by measure.",
                 "measure", {m: c.packets for m, c in view.dropped.items()}),
        by_label("excise_dropped_bytes_total", "Bytes taken away, by measure.",
                 "measure", {m: c.bytes for m, c in view.dropped.items()}),
        Metric("excise_throttled_packets_total", "Packets taken away by throttles, by tier.",
               tuple((labels, c.packets) for labels, c in tiers)),
        Metric("excise_throttled_bytes_total", "Bytes taken away by throttles, by tier.",
               tuple((labels, c.bytes) for labels, c in tiers)),
        by_label("excise_enforcer_counted_seconds", "Unix time of the last look at the counters.",
                 "backend", read),
    ]  # fmt: skip
