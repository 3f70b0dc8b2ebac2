"""What an input's sample shows, what it does not, and what follows from that. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from excise.doctor.check import Check, State
from excise.doctor.filled import answered, shares
from excise.doctor.needs import Gap, by_bytes, gaps
from excise.doctor.programs import Program, writer_of
from excise.doctor.sample import Sample
from excise.rules.schema import Rule

#: below, something is amiss with format or log
SOUND = 0.9
#: a rejected line that is nobody's request: a log's other messages
NO_REQUEST = "not-a-request"
MOST_NAMED = 4
#: what a field is called in a sentence
_SAID = {
    "tls": "TLS version",
    "user_agent": "client program",
    "prompt": "prompt hashes",
    "parameters": "request parameters",
}
#: formats that do not keep apart what clients send
_WRITTEN_BY_CLIENTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "traefik": (
            "a client can write whole lines into Traefik's text log, in anybody's name",
            "accessLog: {format: json}; see docs/gateways-traefik.md",
        ),
        "envoy": (
            "Envoy's text log escapes nothing: a client that sends a quote is not seen",
            "a json_format; see docs/gateways-envoy.md",
        ),
    }
)


def check_sample(
    sample: Sample, rules: Sequence[Rule], running: Sequence[Program]
) -> Iterator[Check]:
    """Say what is decoded, which fields are filled, and which rules have nothing to go by."""
    yield check_decoded(sample)
    if not sample.records:
        return
    if sample.format in _WRITTEN_BY_CLIENTS:
        text, advice = _WRITTEN_BY_CLIENTS[sample.format]
        yield Check("format", State.WARN, f"{sample.name}: {text}", advice)
    asked = answered(sample.records)
    filled = shares(asked)
    told = ", ".join(f"{name} {_percent(share)}" for name, share in filled.items() if share)
    never = [name for name, share in filled.items() if not share]
    text = f"{sample.name}, of {len(asked):,} answered requests: {told}"
    text += f"; never {', '.join(never)}" if never else ""
    yield Check("fields", State.OK, text)
    writer = writer_of(sample.format, sample.name, running)
    for gap in gaps(rules, filled):
        yield _blind(sample, gap, rules, writer)


def check_decoded(sample: Sample) -> Check:
    """Whether the sampled lines are records."""
    if sample.problem:
        return Check("sample", State.OK, f"{sample.name}: not looked at: {sample.problem}")
    if not sample.lines:
        return Check("sample", State.OK, f"{sample.name}: no line yet")
    known = " and ".join(sample.formats) or sample.configured
    known += " (recognised)" if sample.configured == "auto" and sample.formats else ""
    files = f" in {sample.files} files" if sample.files > 1 else ""
    text = (
        f"{sample.name}: format {known}, {len(sample.records):,} requests of the last"
        f" {sample.lines:,} lines{files}"
    )
    if sample.rejects:
        reasons = [f"{reason} {n:,}" for reason, n in sample.rejects.most_common(MOST_NAMED)]
        text += f"; rejected: {', '.join(reasons)}"
    lost = sample.rejects.total() - sample.rejects[NO_REQUEST]
    if not sample.records and lost:
        advice = "is `format` right? See docs/inputs.md: its reject reasons, or a mapping"
        return Check("sample", State.FAIL, text, advice)
    if len(sample.records) < SOUND * (len(sample.records) + lost):
        return Check("sample", State.WARN, text, "see docs/inputs.md, reject reasons")
    return Check("sample", State.OK, text)


def _blind(sample: Sample, gap: Gap, rules: Sequence[Rule], writer: Program | None) -> Check:
    text = _missing(sample, gap, rules)
    if writer is None:
        return Check("blind", State.WARN, text, "see docs/inputs.md: what each format can tell")
    return Check("blind", State.WARN, text, f"see {writer.page}; as in {writer.files}")


def _missing(sample: Sample, gap: Gap, rules: Sequence[Rule]) -> str:
    name = _SAID.get(gap.field, gap.field.replace("_", " "))
    verb = "does" if len(gap.rules) == 1 else "do"
    text = f"{sample.name}: no {name}: {_some(gap.rules)} {verb} not run"
    if gap.eager:
        takes = "takes" if len(gap.rules) == 1 else "take"
        text = (
            f"{sample.name}: no {name}: {_some(gap.rules)} {takes} every question for a short one"
        )
    if gap.field == "output_tokens":
        rest = by_bytes(rules)
        text += f"; on bytes run {_some(rest)}" if rest else "; no rule runs on bytes instead"
    return text


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _percent(share: float) -> str:
    """Return a share so that 100 % and 0 % are said of what is exactly so."""
    return f"{min(99, max(1, round(share * 100)))}%" if 0 < share < 1 else f"{share:.0%}"
