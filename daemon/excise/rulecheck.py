"""Finds rule files, reads and checks them, and runs the rules' own tests through the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from excise.engine import Engine
from excise.errors import InvalidError, Mark, NotFoundError, RuleError
from excise.model.document import Node
from excise.model.entity import Kind
from excise.model.settings import Capacity, Settings
from excise.model.step import Effect, Finding, Input, Observed, Tick
from excise.model.view import Explanation
from excise.rules.expand import EPOCH_S, documented_asns, expand
from excise.rules.lint import Problem, Severity, lint
from excise.rules.parse import collect, parse_rule
from excise.rules.schema import Rule, Rulebook, RuleTest
from excise.yamlread import read_yaml_file

#: in tests each /28 and each /48 for documentation is an autonomous system, with a private number
TEST_ASNS = documented_asns()
#: a test knows a handful of entities; small tables make a fresh engine cheap
TEST_SETTINGS = Settings(
    capacity=Capacity(
        clients=16_384,
        subnets=16_384,
        accounts=16_384,
        uses=16_384,
        stacks=4096,
        templates=16_384,
        links=16_384,
    ),
    asns=TEST_ASNS,
)


class EngineUnderTest(Protocol):
    """What a rule's test needs of the engine."""

    def set_baseline(self, kind: Kind, values: dict[str, float]) -> None:
        """Give the quantile of features as if the host's population had it."""
        ...

    def set_substitution(self, value: float) -> None:
        """Give what a trial has found, as if there had been one."""
        ...

    def step(self, inputs: Iterable[Input], now: float | None = None) -> list[Effect]:
        """Take inputs, return what changed."""
        ...

    def explain(self, name: str) -> Explanation:
        """Return an entity's features. Raises NotFoundError."""
        ...

    def campaign_with(self, account: str) -> str | None:
        """Return the id of the campaign that an account belongs to, enforced or not."""
        ...


#: how a rule's test names a campaign, whose id is made up: by an account in it
CAMPAIGN_OF = "campaign of "
EngineFactory = Callable[[Settings, Rulebook], EngineUnderTest]


@dataclass(frozen=True, slots=True)
class RuleFile:
    """A rule file as read: the rule, unless it is broken, and everything found wrong with it."""

    path: Path
    rule: Rule | None
    root: Node | None
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check of rules found."""

    rules: int
    tests: int
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> int:
        """How many of the problems make the set unusable."""
        return sum(problem.severity is Severity.ERROR for problem in self.problems)


def load_rules(directories: Iterable[Path]) -> tuple[Rulebook, list[RuleError]]:
    """Return the sound rules of all directories, and every error found in the others.

    Warnings are `check_rules`'s. A directory that does not exist is an error.
    """
    paths, errors = find_rule_files(directories)
    files = [read_rule_file(path) for path in paths]
    errors += [_as_error(p) for f in files for p in f.problems if p.severity is Severity.ERROR]
    book, doubles = collect(_sound(files))
    return book, errors + doubles


def check_rules(
    paths: Iterable[Path], factory: EngineFactory = Engine, *, tests: bool = True
) -> CheckReport:
    """Check rule files and directories, and run the tests of every rule that can be read.

    Without `tests` none is run, and the report counts none.
    """
    found, missing = find_rule_files(paths)
    files = [read_rule_file(path) for path in found]
    book, doubles = collect(_sound(files))
    problems = [as_problem(error, "rule-file") for error in missing]
    problems += [problem for file in files for problem in file.problems]
    problems += [as_problem(error, "rule-id") for error in doubles]
    run = 0
    for rule, root in _sound(files) if tests else ():
        run += len(rule.tests)
        problems += run_tests(rule, root, factory)
    return CheckReport(len(book.rules), run, tuple(problems))


def find_rule_files(paths: Iterable[Path]) -> tuple[list[Path], list[RuleError]]:
    """Return rule files in the order of their names: files as given, directories searched.

    Names that begin with `_` or `.` are passed over; a `.yml` file is an error, not overlooked.
    """
    found: list[Path] = []
    errors: list[RuleError] = []
    for path in paths:
        if path.is_dir():
            found += [p for p in sorted(path.rglob("*.y*ml")) if not _hidden(p.relative_to(path))]
        elif path.exists():
            found.append(path)
        else:
            hint = "give a rule file or a directory of rules"
            errors.append(RuleError(f"{path} does not exist", None, hint))
    unique = list(dict.fromkeys(found))
    for path in unique:
        if path.suffix != ".yaml":
            mark = Mark(str(path), 1, 1)
            errors.append(RuleError("is not loaded", mark, "a rule file's name ends in .yaml"))
    return [path for path in unique if path.suffix == ".yaml"], errors


def read_rule_file(path: Path) -> RuleFile:
    """Read, parse and lint one file."""
    try:
        document = read_yaml_file(path)
    except InvalidError as error:
        return RuleFile(path, None, None, (as_problem(error, "yaml"),))
    rule, errors = parse_rule(document)
    if rule is None:
        return RuleFile(path, None, None, tuple(as_problem(e, "schema") for e in errors))
    root = document.root()
    return RuleFile(path, rule, root, tuple(lint(rule, root)))


def run_tests(rule: Rule, root: Node, factory: EngineFactory = Engine) -> Iterator[Problem]:
    """Run a rule's own tests, each in a fresh engine; yield what failed."""
    for i, test in enumerate(rule.tests):
        try:
            failure = run_test(rule, test, factory)
        except InvalidError as error:
            failure = str(error)
        if failure:
            mark = root.seek(["tests", i, "name"]).mark
            yield Problem("test", Severity.ERROR, f"test {test.name!r}: {failure}", mark)


def run_test(rule: Rule, test: RuleTest, factory: EngineFactory = Engine) -> str:
    """Return how a test failed, `""` if it did not.

    Raises InvalidError for input that is no record.
    """
    engine = factory(TEST_SETTINGS, Rulebook((rule,)))
    if test.baseline:
        engine.set_baseline(rule.kind, test.baseline)
    if test.substitution is not None:
        engine.set_substitution(test.substitution)
    records = expand(test)
    effects = engine.step([Observed(records)])
    effects += engine.step([Tick()], now=records[-1].ts)
    fired = [e for e in effects if isinstance(e, Finding) and e.rule == rule.id]
    if test.fires is None:
        return _unwanted(fired)
    name = _named(rule, test.fires, engine)
    failure = _wanted(name, test.by_s, fired)
    return f"{failure}; {_values(rule, name, engine)}" if failure else ""


def _named(rule: Rule, name: str, engine: EngineUnderTest) -> str:
    """Return whom a test means; a campaign, whose id is made up, is that `of` a member."""
    if rule.kind is not Kind.CAMPAIGN:
        return name
    return engine.campaign_with(name.removeprefix(CAMPAIGN_OF)) or name


def _values(rule: Rule, name: str, engine: EngineUnderTest) -> str:
    try:
        features = engine.explain(name).features
    except NotFoundError:
        return "no such entity was seen"
    seen = {c.feature: features[c.feature] for c in rule.when if c.feature in features}
    return "in the end " + ", ".join(f"{feature} {value:g}" for feature, value in seen.items())


def _unwanted(fired: Sequence[Finding]) -> str:
    if not fired:
        return ""
    first = fired[0]
    at = f"{first.ts - EPOCH_S:g}s"
    return f"should stay quiet, but fired for {first.entity} at {at}: {_numbers(first)}"


def _wanted(name: str, by_s: float | None, fired: Sequence[Finding]) -> str:
    times = [finding.ts - EPOCH_S for finding in fired if finding.entity.name == name]
    if not times:
        others = sorted({str(finding.entity) for finding in fired})[:3]
        return f"did not fire for {name}" + (f", only for {', '.join(others)}" if others else "")
    if by_s is not None and times[0] > by_s:
        return f"fired for {name} only at {times[0]:g}s, wanted by {by_s:g}s"
    return ""


def _numbers(finding: Finding) -> str:
    return ", ".join(
        f"{name} {value:g} (threshold {limit:g})" for name, value, limit in finding.numbers
    )


def _sound(files: Iterable[RuleFile]) -> Iterator[tuple[Rule, Node]]:
    for file in files:
        broken = any(problem.severity is Severity.ERROR for problem in file.problems)
        if file.rule and file.root and not broken:
            yield file.rule, file.root


def _hidden(path: Path) -> bool:
    return any(part.startswith(("_", ".")) for part in path.parts)


def as_problem(error: InvalidError, check: str) -> Problem:
    """Return an error as a problem found by `check`."""
    return Problem(check, Severity.ERROR, error.message, error.mark, error.hint)


def _as_error(problem: Problem) -> RuleError:
    return RuleError(problem.message, problem.mark, problem.hint)
