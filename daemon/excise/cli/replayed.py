"""The end of a replay for a person: what was read, what was decided, whom it would have hit."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import shorten

from excise.cli.text import count, moment, number, printable, table
from excise.model.duration import format_duration
from excise.replay.summary import Share, Summary

#: of a reason in a table; the whole of it is in the decision stream and in --json
REASON_WIDTH = 100


def describe(summary: Summary, seconds: float) -> str:
    """Return the summary as text; `seconds` is how long the replay took."""
    blocks = [
        "\n".join(_read(summary, seconds)),
        "\n".join(_enforced(summary)),
        "\n".join(_decided(summary)),
        "\n".join(_rules(summary)),
        "\n".join(_alarms(summary)),
    ]
    return "\n\n".join(block for block in blocks if block)


def _read(summary: Summary, seconds: float) -> Iterator[str]:
    records = summary.traffic.records
    rate = f"{records / seconds:,.0f} records/s" if seconds > 0 else ""
    yield f"{count(summary.lines, 'line')} read in {seconds:.1f} s, {rate}"
    if summary.rejects:
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in summary.rejects.items())
        yield f"{count(sum(summary.rejects.values()), 'line')} rejected: {printable(reasons)}"
    if summary.unknown_fields:
        yield f"about {count(summary.unknown_fields, 'unknown field')} ignored"
    if summary.first_ts is not None and summary.last_ts is not None:
        span = format_duration(summary.last_ts - summary.first_ts)
        yield f"{moment(summary.first_ts)} to {moment(summary.last_ts)}, {span}"
    tokens = number(summary.traffic.output_tokens)
    yield f"{count(records, 'request')}, {tokens} output tokens"
    if not records and summary.rejects:
        yield "No line is a request: is the format right? docs/inputs.md has the reject reasons"
    elif records and not summary.traffic.output_tokens:
        yield "No output tokens are logged: most rules see nothing. docs/inputs.md says what tells"


def _enforced(summary: Summary) -> Iterator[str]:
    yield "Under enforcement (logged while a decision covered them):"
    parts = [("stopped", summary.stopped), ("throttled", summary.throttled)]
    yield _shares(parts, summary.traffic)
    yield ""
    yield "Of these, neither client nor account had evidence of its own:"
    parts = [("bystanders", summary.bystanders)]
    if summary.unexamined.records:
        parts.append(("not examined", summary.unexamined))
    yield _shares(parts, summary.traffic)


def _shares(parts: list[tuple[str, Share]], whole: Share) -> str:
    rows = [
        [
            f"  {name}",
            number(share.records),
            _percent(share.records, whole.records),
            number(share.output_tokens),
            _percent(share.output_tokens, whole.output_tokens),
        ]
        for name, share in parts
    ]
    return table(["", "requests", "%", "output tokens", "% "], rows, "requests % output tokens")


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f}" if whole else "-"


def _decided(summary: Summary) -> Iterator[str]:
    changes = ", ".join(f"{op} {n:,}" for op, n in summary.changes.items()) or "none"
    yield f"Decisions: {changes}; {count(summary.targets_enforced, 'target')} enforced"
    if not summary.targets:
        return
    rows = [
        [
            line.target,
            line.action + (f" {line.tier}" if line.tier else ""),
            number(line.records),
            number(line.output_tokens),
            shorten(line.reason, REASON_WIDTH, placeholder=" …"),
        ]
        for line in summary.targets
    ]
    yield table(["target", "action", "requests", "tokens", "reason"], rows, "requests tokens")
    if summary.targets_enforced > len(summary.targets):
        yield f"and {summary.targets_enforced - len(summary.targets):,} more"


def _rules(summary: Summary) -> Iterator[str]:
    if not summary.rules:
        return
    rows = [
        [
            line.rule,
            number(line.fired),
            number(line.decisions),
            number(line.records),
            number(line.output_tokens),
        ]
        for line in summary.rules
    ]
    heads = ["rule", "fired", "decisions", "requests", "tokens"]
    yield table(heads, rows, "fired decisions requests tokens")


def _alarms(summary: Summary) -> Iterator[str]:
    for alarm in summary.alarms:
        yield f"alarm: {printable(alarm)}"
    if summary.alarm_count > len(summary.alarms):
        yield f"and {count(summary.alarm_count - len(summary.alarms), 'alarm')} more"
