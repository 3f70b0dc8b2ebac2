"""What a good rule must have, beyond being readable. One small function per check. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_network

from excise.errors import Mark
from excise.features.table import FEATURES
from excise.model.document import KeyPath, Node, names
from excise.model.entity import Family, Kind
from excise.rules.expand import MAX_RECORDS
from excise.rules.schema import Comparison, Maturity, Population, Relative, Rule, Threshold

MIN_HALF_LIFE_S = 60.0
MAX_HALF_LIFE_S = 30 * 86_400.0
#: an experimental rule only observes: more points than this suggest force that it does not have
EXPERIMENTAL_WEIGHT = 40.0
_ID = re.compile(r"[a-z]+\.[a-z0-9]+(?:-[a-z0-9]+)*")


class Severity(StrEnum):
    """An error keeps a rule from being loaded; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding of a check, as a compiler would print it."""

    check: str
    severity: Severity
    message: str
    mark: Mark | None = None
    hint: str = ""

    def __str__(self) -> str:
        """Return `file:line:column: severity: message (hint) [check]`."""
        where = f"{self.mark}: " if self.mark else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{where}{self.severity.value}: {self.message}{hint} [{self.check}]"


@dataclass(frozen=True, slots=True)
class Fault:
    """What one check found, at a path inside the rule's document."""

    path: KeyPath
    message: str
    hint: str = ""


Check = Callable[[Rule, str], Iterator[Fault]]


def lint(rule: Rule, root: Node) -> list[Problem]:
    """Return everything that the table of checks finds in a rule, in the table's order."""
    return [
        Problem(name, severity, fault.message, root.seek(fault.path).mark, fault.hint)
        for name, severity, check in CHECKS
        for fault in check(rule, root.document.file)
    ]


def _id_form(rule: Rule, _: str) -> Iterator[Fault]:
    if not _ID.fullmatch(rule.id) or rule.id.split(".")[0] != rule.family.value:
        hint = f"family.behaviour in lower case, like {rule.family.value}.output-burst"
        yield Fault(("id",), f"id {rule.id!r} does not fit family {rule.family.value}", hint)


def _file_path(rule: Rule, file: str) -> Iterator[Fault]:
    family, _, behaviour = rule.id.partition(".")
    wanted = [family, f"{behaviour}.yaml"]
    if file.split("/")[-2:] != wanted:
        yield Fault(
            ("id",), f"rule {rule.id!r} is in the wrong file", f"move to {'/'.join(wanted)}"
        )


def _has_conditions(rule: Rule, _: str) -> Iterator[Fault]:
    if not rule.when:
        yield Fault(("when",), "when holds no comparison, so the rule could never fire")


def _kind_has_feature(rule: Rule, _: str) -> Iterator[Fault]:
    for path, name in _features(rule):
        if rule.kind not in FEATURES[name].kinds:
            kinds = sorted(kind.value for kind in FEATURES[name].kinds)
            message = f"feature {name!r} does not exist for kind {rule.kind.value}"
            yield Fault(path, message, f"it does for {names(kinds)}")


def _quantile(rule: Rule, _: str) -> Iterator[Fault]:
    for path, threshold in _thresholds(rule):
        if isinstance(threshold, Population) and not 0 < threshold.quantile < 1:
            message = f"quantile {threshold.quantile:g} is out of range"
            yield Fault((*path, "quantile"), message, "above 0 and below 1")


def _floor(rule: Rule, _: str) -> Iterator[Fault]:
    for path, threshold in _thresholds(rule):
        if isinstance(threshold, Population) and threshold.floor <= 0:
            hint = "it alone holds while the host does not know its population"
            yield Fault((*path, "floor"), "floor must be above 0", hint)


def _times(rule: Rule, _: str) -> Iterator[Fault]:
    for path, threshold in _thresholds(rule):
        if not isinstance(threshold, float) and threshold.times <= 0:
            yield Fault((*path, "times"), "times must be above 0")


def _not_itself(rule: Rule, _: str) -> Iterator[Fault]:
    for path, comparison in _comparisons(rule):
        for threshold in (comparison.above, comparison.below):
            if isinstance(threshold, Relative) and threshold.feature == comparison.feature:
                yield Fault(path, f"{comparison.feature} is compared with itself")


def _can_be_true(rule: Rule, _: str) -> Iterator[Fault]:
    lows = {c.feature: c.above for c in rule.when if isinstance(c.above, float)}
    for i, comparison in enumerate(rule.when):
        low, high = lows.get(comparison.feature), comparison.below
        if low is not None and isinstance(high, float) and high <= low:
            message = f"{comparison.feature} cannot be above {low:g} and below {high:g}"
            yield Fault(("when", i), message)


def _half_life(rule: Rule, _: str) -> Iterator[Fault]:
    if not MIN_HALF_LIFE_S <= rule.half_life_s <= MAX_HALF_LIFE_S:
        yield Fault(("half_life",), "half_life is out of range", "from 1m to 30d")


def _experimental_weight(rule: Rule, _: str) -> Iterator[Fault]:
    if rule.maturity is Maturity.EXPERIMENTAL and rule.weight > EXPERIMENTAL_WEIGHT:
        message = f"an experimental rule only observes, whatever its weight ({rule.weight:g})"
        yield Fault(("weight",), message, f"at most {EXPERIMENTAL_WEIGHT:g} until it is trusted")


def _experimental_refuse(rule: Rule, _: str) -> Iterator[Fault]:
    if rule.maturity is Maturity.EXPERIMENTAL and rule.refuse:
        yield Fault(("refuse",), "refuse has no effect: an experimental rule only observes")


def _lone_volume(rule: Rule, _: str) -> Iterator[Fault]:
    if rule.family is Family.VOLUME and len(rule.when) == 1:
        hint = "add a comparison that a heavy honest user does not meet"
        yield Fault(("when",), "one comparison on volume alone hits heavy honest users", hint)


def _exception_says_where(rule: Rule, _: str) -> Iterator[Fault]:
    for i, exemption in enumerate(rule.exceptions):
        if not exemption.names and not exemption.when:
            yield Fault(("exceptions", i), "the exception excepts nothing", "give names or when")


def _exception_names(rule: Rule, _: str) -> Iterator[Fault]:
    if rule.kind not in (Kind.CLIENT, Kind.SUBNET):
        return
    for i, exemption in enumerate(rule.exceptions):
        for j, name in enumerate(exemption.names):
            if _canonical(name) is None:
                message = f"{name!r} is no address or CIDR, as a {rule.kind.value} has"
                yield Fault(("exceptions", i, "names", j), message)


def _references(rule: Rule, _: str) -> Iterator[Fault]:
    for i, reference in enumerate(rule.references):
        if not reference.startswith("https://"):
            yield Fault(("references", i), f"reference {reference!r} is no https:// address")


def _blind_spots(rule: Rule, _: str) -> Iterator[Fault]:
    if not rule.blind_spots:
        yield Fault((), "the rule names no blind_spots", "known gaps are better than unknown ones")


def _positive_test(rule: Rule, _: str) -> Iterator[Fault]:
    if not any(test.fires for test in rule.tests):
        yield Fault(("tests",), "no test expects the rule to fire", "add one with the key fires")


def _near_miss_test(rule: Rule, _: str) -> Iterator[Fault]:
    if not any(test.fires is None for test in rule.tests):
        hint = "add honest traffic that comes close, without the key fires"
        yield Fault(("tests",), "no test expects the rule to stay quiet", hint)


def _test_names(rule: Rule, _: str) -> Iterator[Fault]:
    seen: set[str] = set()
    for i, test in enumerate(rule.tests):
        if test.name in seen:
            yield Fault(("tests", i, "name"), f"two tests are called {test.name!r}")
        seen.add(test.name)


def _test_input(rule: Rule, _: str) -> Iterator[Fault]:
    for i, test in enumerate(rule.tests):
        records = sum(burst.count for burst in test.input)
        if not 0 < records <= MAX_RECORDS:
            message = f"test {test.name!r} has {records} records"
            yield Fault(("tests", i, "input"), message, f"from 1 to {MAX_RECORDS}")


def _test_by(rule: Rule, _: str) -> Iterator[Fault]:
    for i, test in enumerate(rule.tests):
        if test.by_s is not None and test.fires is None:
            yield Fault(("tests", i, "by"), "by has no effect without fires")


def _test_fires(rule: Rule, _: str) -> Iterator[Fault]:
    if rule.kind not in (Kind.CLIENT, Kind.SUBNET):
        return
    for i, test in enumerate(rule.tests):
        if test.fires is not None and _canonical(test.fires) != test.fires:
            hint = _canonical(test.fires) or "like 203.0.113.7/32"
            message = f"{test.fires!r} is not how a {rule.kind.value} is named"
            yield Fault(("tests", i, "fires"), message, f"write {hint}")


def _test_baseline(rule: Rule, _: str) -> Iterator[Fault]:
    relative = {
        comparison.feature
        for _, comparison in _comparisons(rule)
        if isinstance(comparison.above, Population) or isinstance(comparison.below, Population)
    }
    for i, test in enumerate(rule.tests):
        for name in test.baseline.keys() - relative:
            message = f"baseline of {name} has no effect: no quantile is asked of it"
            yield Fault(("tests", i, "baseline", name), message)


ERROR, WARNING = Severity.ERROR, Severity.WARNING
CHECKS: tuple[tuple[str, Severity, Check], ...] = (
    ("id-form", ERROR, _id_form),
    ("file-path", ERROR, _file_path),
    ("has-conditions", ERROR, _has_conditions),
    ("kind-has-feature", ERROR, _kind_has_feature),
    ("quantile", ERROR, _quantile),
    ("floor", ERROR, _floor),
    ("times", ERROR, _times),
    ("not-itself", ERROR, _not_itself),
    ("can-be-true", ERROR, _can_be_true),
    ("half-life", ERROR, _half_life),
    ("experimental-weight", WARNING, _experimental_weight),
    ("experimental-refuse", WARNING, _experimental_refuse),
    ("lone-volume", WARNING, _lone_volume),
    ("exception-says-where", ERROR, _exception_says_where),
    ("exception-names", ERROR, _exception_names),
    ("references", ERROR, _references),
    ("blind-spots", WARNING, _blind_spots),
    ("positive-test", ERROR, _positive_test),
    ("near-miss-test", ERROR, _near_miss_test),
    ("test-names", ERROR, _test_names),
    ("test-input", ERROR, _test_input),
    ("test-by", ERROR, _test_by),
    ("test-fires", ERROR, _test_fires),
    ("test-baseline", WARNING, _test_baseline),
)


def _comparisons(rule: Rule) -> Iterator[tuple[KeyPath, Comparison]]:
    for i, comparison in enumerate(rule.when):
        yield ("when", i), comparison
    for i, exemption in enumerate(rule.exceptions):
        for j, comparison in enumerate(exemption.when):
            yield ("exceptions", i, "when", j), comparison


def _thresholds(rule: Rule) -> Iterator[tuple[KeyPath, Threshold]]:
    for path, comparison in _comparisons(rule):
        if comparison.above is not None:
            yield (*path, "above"), comparison.above
        if comparison.below is not None:
            yield (*path, "below"), comparison.below


def _features(rule: Rule) -> Iterator[tuple[KeyPath, str]]:
    for path, comparison in _comparisons(rule):
        yield (*path, "feature"), comparison.feature
    for path, threshold in _thresholds(rule):
        if isinstance(threshold, Relative):
            yield (*path, "feature"), threshold.feature


def _canonical(name: str) -> str | None:
    try:
        return str(ip_network(name))
    except ValueError:
        return None
