"""The page: one HTML text, complete in itself. Pure.

No script at all and a policy that forbids any, so that nothing in a log can run (CSP level 3).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from excise.model.view import CampaignDetail
from excise.report import charts
from excise.report.collect import Report, Story
from excise.report.graph import picture
from excise.report.style import STYLE
from excise.report.tables import meter, rows, tag
from excise.report.text import grouped, moment, percent, safe, short, span

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
#: inputs that the heading names
NAMED = 3
VERDICTS = (
    ("served", "not acted on"),
    ("throttled", "throttled"),
    ("stopped", "dropped or denied"),
)
PLANES = (("network", "networks"), ("account", "accounts"))
STATES = (
    ("stopped", "denied or dropped"),
    ("throttled", "throttled"),
    ("honest", "address spared for others behind it"),
    ("served", "not acted on"),
)


def page(report: Report) -> str:
    """Return the whole page."""
    sections = (
        _timeline(report),
        _scores(report),
        _campaigns(report),
        _collateral(report),
        _targets(report),
        _rules(report),
        _signals(report),
        _notes(report),
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>excise replay</title><style>{STYLE}</style></head><body><main>"
        f"{_header(report)}{_tiles(report)}{''.join(sections)}</main></body></html>\n"
    )


def _header(report: Report) -> str:
    s = report.summary
    names = ", ".join(report.inputs[:NAMED]) + (" …" if len(report.inputs) > NAMED else "")
    when = ""
    if s.first_ts is not None and s.last_ts is not None:
        when = f"{moment(s.first_ts)} to {moment(s.last_ts)} UTC, {span(s.last_ts - s.first_ts)}"
    return (
        f"<header><div><h1><span>excise</span> replay</h1><p>{safe(names)}</p></div>"
        f"<p>{safe(when)}<br>under posture <b>{safe(report.posture)}</b></p></header>"
    )


def _tiles(report: Report) -> str:
    s, whole = report.summary, report.summary.traffic
    members = sum(x.detail.counts["accounts"] for x in report.stories if _enforced(x.detail))
    by = "output_tokens" if whole.output_tokens else "records"

    def part(name: str) -> tuple[str, str]:
        share = getattr(s, name)
        told = f"{short(getattr(share, by))} {report.unit}, {grouped(share.records)} requests"
        return percent(getattr(share, by), getattr(whole, by)), told

    tiles = [
        ("served", short(whole.records), "requests read",
         f"{short(whole.output_tokens)} output tokens"),
        ("stopped", part("stopped")[0], "would have been stopped", part("stopped")[1]),
        ("throttled", part("throttled")[0], "would have been throttled", part("throttled")[1]),
        ("honest", part("bystanders")[0], "collateral: no evidence of its own",
         part("bystanders")[1]),
        ("account", grouped(report.enforced_campaigns), "campaigns enforced",
         f"{grouped(members)} accounts; {grouped(report.campaigns)} groups seen"),
        ("network", grouped(s.targets_enforced), "targets enforced",
         "networks and accounts, at any time"),
    ]  # fmt: skip
    drawn = (
        f'<div class="tile {kind}"><b>{safe(value)}</b><span>{safe(name)}</span>'
        f"<span>{safe(more)}</span></div>"
        for kind, value, name, more in tiles
    )
    return f'<div class="tiles">{"".join(drawn)}</div>'


def _enforced(detail: CampaignDetail) -> bool:
    return detail.summary.enforced_ts is not None


def _section(title: str, lead: str, *body: str, kind: str = "") -> str:
    return (
        f'<section class="{kind}"><h2>{safe(title)}</h2><p class="lead">{safe(lead)}</p>'
        f"{''.join(body)}</section>"
    )


def _legend(items: Iterable[tuple[str, str]]) -> str:
    drawn = (f'<li><i class="{kind}"></i>{safe(text)}</li>' for kind, text in items)
    return f'<ul class="legend">{"".join(drawn)}</ul>'


def _timeline(report: Report) -> str:
    title = f"{report.unit.capitalize()} over time"
    lead = (
        "By the verdict under which each request was logged. A replay keeps nobody away: what "
        "would have been stopped goes on in the log."
    )
    drawn = charts.timeline(report.bars, report.bar_s, report.unit)
    return _section(title, lead, drawn, _legend(VERDICTS))


def _scores(report: Report) -> str:
    lead = (
        "The highest score of every network and account that had evidence, on a scale of square "
        "roots. Most clients have none and are not shown."
    )
    drawn = charts.scores(report.scores, report.rungs)
    return _section("Scores", lead, drawn, _legend(PLANES))


def _campaigns(report: Report) -> str:
    lead = (
        "Accounts that are driven as one, found by what they share. All members are met together; "
        "addresses with others behind them are spared."
    )
    if not report.stories:
        return _section("Campaigns", lead, '<p class="none">No group of accounts was found.</p>')
    table = ""
    if report.others:
        heads = ("campaign", "state", "score:n", "accounts:n", "output tokens, 30 d:n", "rules")
        table = "<h3>Further groups</h3>" + rows(heads, map(_listed, report.others))
    return _section("Campaigns", lead, _legend(STATES), *map(_campaign, report.stories), table)


def _listed(detail: CampaignDetail) -> Sequence[str]:
    s = detail.summary
    return (
        f"<code>{safe(s.id)}</code>",
        _state(detail),
        f"{s.score:.0f}",
        grouped(s.members),
        short(s.ledger.output_tokens_30d),
        safe(", ".join(s.rules)),
    )


def _state(detail: CampaignDetail) -> str:
    return tag("enforced") if _enforced(detail) else tag("watched")


def _campaign(story: Story) -> str:
    detail = story.detail
    about = detail.explanation
    told = "".join(f"<p>{safe(sentence)}</p>" for sentence in _told(detail))
    heads = ("rule", "family", "points:n", "what it saw")
    evidence = rows(
        heads,
        (
            (
                f"<code>{safe(e.rule)}</code>",
                safe(e.family),
                f"{e.points:.0f}",
                safe("; ".join(f"{f} {short(v)} (limit {short(t)})" for f, v, t in e.numbers)),
            )
            for e in about.evidence
        ),
    )
    return (
        f'<div class="campaign"><div>{picture(story.net, len(detail.templates))}</div><div>'
        f"<h3><code>{safe(detail.summary.id)}</code> {_state(detail)} score {about.score:.0f}</h3>"
        f"{told}{evidence}{_members(detail)}</div></div>"
    )


def _told(detail: CampaignDetail) -> Iterator[str]:
    """Yield the sentences that are not the evidence table in other words."""
    told = tuple(e.about for e in detail.explanation.evidence)
    for sentence in detail.explanation.sentences:
        if not sentence.startswith(told):
            yield sentence


def _members(detail: CampaignDetail) -> str:
    accounts = rows(
        ("account", "is met with", "strength:n", "output tokens, 24 h:n"),
        (
            (f"<code>{safe(m.account)}</code>", tag(m.action), f"{m.strength:.1f}",
             grouped(m.output_tokens_24h))
            for m in detail.accounts[:20]
        ),
    )  # fmt: skip
    exits = rows(
        ("address", "is met with", "honest share:n", "requests, 24 h:n"),
        (
            (f"<code>{safe(e.client)}</code>", tag(e.action), percent(e.honest_share, 1),
             short(e.requests_24h))
            for e in detail.exits[:20]
        ),
    )  # fmt: skip
    return (
        f"<details><summary>Its heaviest accounts and addresses</summary>{accounts}{exits}"
        "</details>"
    )


def _collateral(report: Report) -> str:
    lead = (
        "Who was under enforcement though no rule fired for client or account: swept up with a "
        "subnet, an address or a campaign. An upper bound; members of a pool may show nothing of "
        "their own."
    )
    if not report.bystanders:
        return _section("Collateral", lead, '<p class="none">Nobody.</p>')
    heads = ("client", "account", "was met with", "through", "requests:n", "output tokens:n")
    table = rows(
        heads,
        (
            (f"<code>{safe(b.client)}</code>", f"<code>{safe(b.account)}</code>", tag(b.action),
             f"<code>{safe(b.target)}</code>", grouped(b.records), grouped(b.output_tokens))
            for b in report.bystanders
        ),
    )  # fmt: skip
    return _section("Collateral", lead, table, _more(report.bystander_count, report.bystanders))


def _more(count: int, shown: Sequence[object]) -> str:
    left = count - len(shown)
    return f'<p class="small">and {grouped(left)} more</p>' if left > 0 else ""


def _targets(report: Report) -> str:
    s = report.summary
    most = max((t.output_tokens for t in s.targets), default=0)
    heads = ("target", "strictest", "requests:n", "output tokens:n", "", "why")
    table = rows(
        heads,
        (
            (f"<code>{safe(t.target)}</code>", tag(t.action, t.tier or ""), grouped(t.records),
             grouped(t.output_tokens), meter(t.output_tokens, most), safe(t.reason))
            for t in s.targets
        ),
    )  # fmt: skip
    changes = ", ".join(f"{op} {n:,}" for op, n in s.changes.items()) or "none"
    lead = f"The targets under which most was logged. Changes of decisions: {changes}."
    return _section("Targets", lead, table, _more(s.targets_enforced, s.targets))


def _rules(report: Report) -> str:
    lines = report.summary.rules
    most = max((r.output_tokens for r in lines), default=0)
    heads = ("rule", "fired:n", "decisions:n", "requests under them:n", "output tokens:n", "")
    table = rows(
        heads,
        (
            (f"<code>{safe(r.rule)}</code>", grouped(r.fired), grouped(r.decisions),
             grouped(r.records), grouped(r.output_tokens), meter(r.output_tokens, most))
            for r in lines
        ),
    )  # fmt: skip
    lead = "A decision that rests on several rules counts for each of them."
    return _section("Rules that fired", lead, table)


def _signals(report: Report) -> str:
    lead = "A field that the gateway does not log blinds what needs it."
    table = rows(
        ("field", "", "in recent requests:n", "needed for"),
        (
            (f"<code>{safe(s.field)}</code>", tag("blind" if s.blind else "sees"),
             "\N{EN DASH}" if s.share is None else percent(s.share, 1), safe(s.needed_for))
            for s in report.signals
        ),
    )  # fmt: skip
    return _section("What could be seen", lead, table)


def _notes(report: Report) -> str:
    s = report.summary
    told = [*s.alarms]
    if s.alarm_count > len(s.alarms):
        told.append(f"and {s.alarm_count - len(s.alarms):,} alarms more")
    told += [f"lines rejected, {reason}: {n:,}" for reason, n in s.rejects.items()]
    if s.unknown_fields:
        told.append(f"unknown fields ignored: about {s.unknown_fields:,}")
    if not told:
        return ""
    items = "".join(f"<li>{safe(text)}</li>" for text in told)
    kind = "alarm" if s.alarms else ""
    return _section("Alarms and lines that were not read", "", f"<ul>{items}</ul>", kind=kind)
