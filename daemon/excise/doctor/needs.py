"""Which rules have nothing to go by where a log does not tell something. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from excise.doctor.filled import PARAMETERS
from excise.model.entity import Kind
from excise.rules.schema import Rule

#: by the beginning of a feature's name, the fields without which it stays 0 (features/batch.py)
_OF_FEATURE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "input_tokens": ("input_tokens",),
        "mean_input": ("input_tokens", "output_tokens"),
        "output_tokens": ("output_tokens",),
        "mean_output": ("output_tokens",),
        "spread_output": ("output_tokens",),
        "output_ratio": ("output_tokens",),
        "output_per_": ("output_tokens",),
        "llm_requests": ("output_tokens",),
        "bytes_out": ("bytes_out",),
        "errors": ("status",),
        "accounts": ("account",),
        "output_per_account": ("account",),
        "templates": ("prompt",),
        "template_share": ("prompt",),
        "begins": ("prompt",),
        "taken_over": ("prompt",),
        "own_share": ("prompt",),
        "swept": (PARAMETERS,),
        "soft_labels": (PARAMETERS,),
        "prompts": ("prompt",),
        "plaintext": ("tls",),
    }
)
_OF_KIND: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        Kind.ACCOUNT: ("account",),
        Kind.USE: ("account",),
        Kind.TEMPLATE: ("prompt",),
        # accounts are linked by what they are answered
        Kind.CAMPAIGN: ("account", "output_tokens"),
    }
)
#: output by input tokens: without the latter it is beyond any threshold (features/values.py)
_RATIO = "output_ratio"
#: a client program is told by either
_STACK_FIELDS = ("ja4", "user_agent")


@dataclass(frozen=True, slots=True)
class Gap:
    """A field that no request tells, and the rules that never fire for that.

    `eager`: they fire too easily instead.
    """

    field: str
    rules: tuple[str, ...]
    eager: bool = False


def needs(rule: Rule) -> frozenset[str]:
    """Return the fields without any of which a rule cannot fire.

    Only what is compared from above: without a value a feature is 0, and 0 is below anything.
    """
    found = set(_OF_KIND.get(rule.kind, ()))
    for comparison in rule.when:
        if comparison.above is not None:
            for beginning, fields in _OF_FEATURE.items():
                if comparison.feature.startswith(beginning):
                    found.update(fields)
    return frozenset(found)


def gaps(rules: Sequence[Rule], filled: Mapping[str, float]) -> list[Gap]:
    """Return what is never told though rules need it, what most of them need first."""
    idle: dict[str, list[str]] = {}
    for rule in rules:
        for name in needs(rule):
            if not filled.get(name):
                idle.setdefault(name, []).append(rule.id)
        if rule.kind is Kind.STACK and not any(filled.get(name) for name in _STACK_FIELDS):
            idle.setdefault("user_agent", []).append(rule.id)
    found = [Gap(name, tuple(sorted(ids))) for name, ids in idle.items()]
    return [*sorted(found, key=lambda gap: (-len(gap.rules), gap.field)), *_eager(rules, filled)]


def _eager(rules: Iterable[Rule], filled: Mapping[str, float]) -> Iterator[Gap]:
    """Yield the rules to which an answer is long beside a question of no known length."""
    if filled.get("input_tokens") or not filled.get("output_tokens"):
        return
    found = sorted(
        rule.id
        for rule in rules
        if "input_tokens" not in needs(rule)
        and any(c.feature == _RATIO and c.above is not None for c in rule.when)
    )
    if found:
        yield Gap("input_tokens", tuple(found), eager=True)


def by_bytes(rules: Iterable[Rule]) -> tuple[str, ...]:
    """Return the rules that go by bytes alone, so that they fire without tokens."""
    found = []
    for rule in rules:
        features = [c.feature for c in rule.when]
        tokens = {"output_tokens", "input_tokens"} & needs(rule)
        if any(name.startswith("bytes_out") for name in features) and not tokens:
            found.append(rule.id)
    return tuple(sorted(found))
