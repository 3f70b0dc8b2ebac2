"""Plain data → Rule. Pure: reading the file is `yamlread`'s. Every problem has its place."""

from __future__ import annotations

from collections.abc import Iterable

from excise.errors import RuleError
from excise.features.table import FEATURES
from excise.model.document import Document, Fields, Node, each, in_order, unknown
from excise.model.entity import Family, Kind
from excise.model.scalars import (
    between,
    boolean,
    choice,
    duration,
    duration_or_zero,
    integer,
    number,
    text,
    texts,
)
from excise.rules.expand import check_template
from excise.rules.schema import (
    Burst,
    Comparison,
    Exemption,
    Maturity,
    Population,
    Relative,
    Rule,
    Rulebook,
    RuleTest,
    Threshold,
)

RULE_KEYS = (
    "id",
    "about",
    "family",
    "kind",
    "maturity",
    "weight",
    "half_life",
    "when",
    "exceptions",
    "hits_also",
    "references",
    "runbook",
    "blind_spots",
    "refuse",
    "tests",
)
COMPARISON_KEYS = ("feature", "above", "below")
POPULATION_KEYS = ("quantile", "times", "floor")
RELATIVE_KEYS = ("feature", "times", "floor")
EXCEPTION_KEYS = ("about", "names", "when")
TEST_KEYS = ("name", "input", "fires", "by", "baseline", "substitution")
BURST_KEYS = ("at", "every", "count", "record")


def parse_rule(document: Document) -> tuple[Rule | None, list[RuleError]]:
    """Return the rule a document holds, or None and everything that is wrong with it."""
    root = document.root()
    rule = _rule(Fields(root, RULE_KEYS))
    errors = [RuleError(p.message, p.mark, p.hint) for p in in_order(root.problems)]
    return (None if errors else rule), errors


def collect(rules: Iterable[tuple[Rule, Node]]) -> tuple[Rulebook, list[RuleError]]:
    """Return the rulebook of rules read from files; an id used twice is an error naming both."""
    first: dict[str, tuple[Rule, Node]] = {}
    errors: list[RuleError] = []
    for rule, root in rules:
        if rule.id in first:
            earlier = first[rule.id][1].seek(["id"]).mark
            here = root.seek(["id"]).mark
            hint = f"first in {earlier}; rename or remove one of them"
            errors.append(RuleError(f"rule id {rule.id!r} is used twice", here, hint))
            continue
        first[rule.id] = (rule, root)
    return Rulebook(tuple(first[rule_id][0] for rule_id in sorted(first))), errors


def _rule(fields: Fields) -> Rule:
    return Rule(
        id=fields.need("id", text, ""),
        about=fields.need("about", text, ""),
        family=fields.need("family", choice(Family), Family.VOLUME),
        kind=fields.need("kind", choice(Kind), Kind.CLIENT),
        maturity=fields.need("maturity", choice(Maturity), Maturity.EXPERIMENTAL),
        weight=fields.need("weight", between(1, 100, number), 1.0),
        half_life_s=fields.need("half_life", duration, 1.0),
        when=fields.need("when", each(_comparison), ()),
        exceptions=fields.get("exceptions", each(_exemption), ()),
        hits_also=fields.need("hits_also", text, ""),
        references=fields.get("references", texts, ()),
        runbook=fields.need("runbook", text, ""),
        blind_spots=fields.get("blind_spots", text, ""),
        refuse=fields.get("refuse", boolean, False),
        tests=fields.need("tests", each(_test), ()),
    )


def _comparison(node: Node) -> Comparison:
    fields = Fields(node, COMPARISON_KEYS)
    name = fields.need("feature", _feature, "")
    given = [key for key in ("above", "below") if key in fields]
    if len(given) != 1:
        found = "both" if given else "neither"
        node.problems.append(node.error(f"takes exactly one of above and below, found {found}"))
    return Comparison(
        feature=name,
        above=fields.get("above", _threshold, None),
        below=fields.get("below", _threshold, None),
    )


def _threshold(node: Node) -> Threshold:
    if not isinstance(node.value, dict):
        return number(node)
    if "feature" in node.value:
        fields = Fields(node, RELATIVE_KEYS)
        return Relative(
            feature=fields.need("feature", _feature, ""),
            times=fields.get("times", number, 1.0),
            floor=fields.get("floor", number, 0.0),
        )
    if "quantile" not in node.value:
        raise node.error("must be a number, or have the key quantile or feature")
    fields = Fields(node, POPULATION_KEYS)
    return Population(
        quantile=fields.need("quantile", number, 0.5),
        floor=fields.need("floor", number, 1.0),
        times=fields.get("times", number, 1.0),
    )


def _feature(node: Node) -> str:
    name = text(node)
    if name not in FEATURES:
        raise unknown("feature", node.mark, name, FEATURES)
    return name


def _exemption(node: Node) -> Exemption:
    fields = Fields(node, EXCEPTION_KEYS)
    return Exemption(
        about=fields.need("about", text, ""),
        names=fields.get("names", texts, ()),
        when=fields.get("when", each(_comparison), ()),
    )


def _test(node: Node) -> RuleTest:
    fields = Fields(node, TEST_KEYS)
    return RuleTest(
        name=fields.need("name", text, ""),
        input=fields.need("input", each(_burst), ()),
        fires=fields.get("fires", text, None),
        by_s=fields.get("by", duration_or_zero, None),
        baseline=fields.get("baseline", _baseline, {}),
        substitution=fields.get("substitution", number, None),
    )


def _baseline(node: Node) -> dict[str, float]:
    fields = Fields(node, FEATURES)
    return {name: fields.get(name, number, 0.0) for name in FEATURES if name in fields}


def _burst(node: Node) -> Burst:
    fields = Fields(node, BURST_KEYS)
    return Burst(
        record=fields.need("record", _record, {}),
        at_s=fields.get("at", duration_or_zero, 0.0),
        every_s=fields.get("every", duration_or_zero, 1.0),
        count=fields.get("count", between(1, 500_000, integer), 1),
    )


def _record(node: Node) -> dict[str, object]:
    if not isinstance(node.value, dict):
        raise node.error("must be a mapping of record fields, like client: 192.0.2.7")
    template: dict[str, object] = dict(node.value)
    node.problems.extend(check_template(node))
    return template
