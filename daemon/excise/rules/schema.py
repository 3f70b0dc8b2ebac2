"""A rule as a value: what the YAML says, typed. Pure; reading it is `rules.load`'s."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from excise.model.entity import Family, Kind


class Maturity(StrEnum):
    """How far a rule is trusted. Experimental rules can only observe."""

    STABLE = "stable"
    INCUBATING = "incubating"
    EXPERIMENTAL = "experimental"


class Population(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A threshold against this host's own population of the same kind.

    The threshold is max(floor, times * the quantile of the feature over entities active within
    24 h), and `floor` alone while the host has too small a population to know itself.
    """

    quantile: float
    floor: float
    times: float = 1.0


class Relative(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A threshold against another feature of the same entity: max(floor, times * feature)."""

    feature: str
    times: float = 1.0
    floor: float = 0.0


Threshold = float | Population | Relative


class Comparison(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`feature` strictly above, or strictly below, a threshold. Exactly one of the two is set."""

    feature: str
    above: Threshold | None = None
    below: Threshold | None = None


class Exemption(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the rule stays quiet: entities named (id or CIDR), or all comparisons true."""

    about: str
    names: tuple[str, ...] = ()
    when: tuple[Comparison, ...] = ()


class Burst(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Test input: `count` records from `at_s` on, one each `every_s`.

    Text in `record` may use `{i}` (0, 1, …) and `{i%N}`; a text that is then a number where the
    record wants one is one.
    """

    record: dict[str, object]
    at_s: float = 0.0
    every_s: float = 1.0
    count: int = 1


class RuleTest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule's own test, in event time. `fires` names the entity expected, None: stays quiet.

    `by_s` is the event time until which it must have fired. `baseline` gives the quantile of
    features as if the host's population had it; without it the population is unknown.
    `substitution` is what a trial has found, since records do not answer to a throttle.
    """

    name: str
    input: tuple[Burst, ...]
    fires: str | None = None
    by_s: float | None = None
    baseline: dict[str, float] = {}
    substitution: float | None = None


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One detection rule. `refuse`: a statement of policy, not of suspicion; it drops alone."""

    id: str
    about: str
    family: Family
    kind: Kind
    when: tuple[Comparison, ...]
    weight: float
    half_life_s: float
    maturity: Maturity
    hits_also: str
    exceptions: tuple[Exemption, ...] = ()
    references: tuple[str, ...] = ()
    runbook: str = ""
    blind_spots: str = ""
    refuse: bool = False
    tests: tuple[RuleTest, ...] = ()


class Rulebook(msgspec.Struct, frozen=True):
    """A checked set of rules, ordered by id; ids are unique."""

    rules: tuple[Rule, ...] = ()
