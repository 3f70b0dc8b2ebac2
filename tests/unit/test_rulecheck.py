"""Finding rule files, loading them, and running their own tests."""

import pytest

from excise.errors import NotFoundError
from excise.model.entity import Entity, Kind
from excise.model.step import Finding, Observed
from excise.rulecheck import check_rules, find_rule_files, load_rules
from excise.rules.expand import EPOCH_S
from excise.rules.lint import Severity

RULE = """
id: volume.output-burst
about: An address takes far more output than this host's clients do.
family: volume
kind: client
maturity: stable
weight: 30
half_life: 30m
when:
  - {feature: output_tokens_1m, above: {quantile: 0.999, times: 4, floor: 20000}}
  - {feature: requests_1h, above: 20}
hits_also: A nightly batch.
runbook: Ask the owner of the account.
blind_spots: Slow harvest.
tests:
  - name: long answers at ten a second
    input:
      - {every: 100ms, count: 300, record: {client: 203.0.113.7, output_tokens: 4000}}
    fires: 203.0.113.7/32
    by: 10s
  - name: a person who asks every minute
    input:
      - {every: 1m, count: 30, record: {client: 203.0.113.8, output_tokens: 900}}
  - name: a host where everybody is heavy
    input:
      - {every: 100ms, count: 300, record: {client: 203.0.113.7, output_tokens: 4000}}
    baseline: {output_tokens_1m: 2000000}
"""


class FakeEngine:
    """Fires for the client of the n-th record."""

    def __init__(self, nth):
        self.nth = nth
        self.baseline = {}

    def __call__(self, settings, rulebook):
        self.rule = rulebook.rules[0]
        return self

    def set_baseline(self, kind, values):
        self.baseline = values

    def step(self, inputs, now=None):
        records = [r for one in inputs if isinstance(one, Observed) for r in one.records]
        return [
            Finding(
                r.ts, self.rule.id, Entity(Kind.CLIENT, f"{r.client}/32"), 1.0, (("x", 2.0, 1.0),)
            )
            for r in records[self.nth : self.nth + 1]
        ]

    def explain(self, name):
        raise NotFoundError(name)


@pytest.fixture
def write(tmp_path):
    def write(text=RULE, file="volume/output-burst.yaml"):
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


def test_directories_are_searched_and_files_taken_as_given(write, tmp_path):
    b, a = write(file="volume/b.yaml"), write(file="api/a.yaml")
    write(file="_template.yaml")
    write(file="volume/.b.yaml.swp.yaml")
    write(file="volume/README.md")

    assert ([a, b], []) == find_rule_files([tmp_path])
    assert ([b], []) == find_rule_files([b])


def test_a_file_in_two_directories_given_is_taken_once(write, tmp_path):
    a = write(file="volume/a.yaml")

    assert ([a], []) == find_rule_files([tmp_path, tmp_path / "volume", a])


def test_a_file_that_ends_in_yml_is_not_overlooked(write, tmp_path):
    write(file="volume/a.yml")
    _, errors = find_rule_files([tmp_path])

    assert ["a.yml:1:1: is not loaded (a rule file's name ends in .yaml)"] == [
        str(error).rsplit("/", maxsplit=1)[1] for error in errors
    ]


def test_a_path_that_does_not_exist_is_an_error(tmp_path):
    _, errors = find_rule_files([tmp_path / "none"])

    assert "does not exist" in str(errors[0])


def test_sound_rules_are_loaded_beside_the_errors_of_the_others(write, tmp_path):
    write()
    write("id: [", "volume/torn.yaml")
    write(
        RULE.replace("output-burst", "other").replace("fires: 203.0.113.7/32", ""),
        "volume/other.yaml",
    )
    book, errors = load_rules([tmp_path])

    assert ["volume.output-burst"] == [rule.id for rule in book.rules]
    assert 3 == len(errors)  # torn; other: no positive test, `by` without `fires`
    assert {"torn.yaml", "other.yaml"} == {error.mark.file.rsplit("/")[-1] for error in errors}


def test_the_same_id_in_two_directories_is_an_error_naming_both(write, tmp_path):
    write(file="local/volume/output-burst.yaml")
    write(file="shipped/volume/output-burst.yaml")
    book, errors = load_rules([tmp_path / "local", tmp_path / "shipped"])

    assert 1 == len(book.rules)
    assert "shipped/volume/output-burst.yaml:2:5" in str(errors[0])
    assert "local/volume/output-burst.yaml:2:5" in str(errors[0])


def test_a_rule_s_own_tests_run_through_the_real_engine(write, tmp_path):
    write()
    report = check_rules([tmp_path])

    assert (1, 3, 0) == (report.rules, report.tests, report.errors)
    assert () == report.problems


def test_without_tests_rules_are_read_and_none_is_run(write, tmp_path):
    write(RULE.replace("floor: 20000", "floor: 9000000"))
    report = check_rules([tmp_path], tests=False)
    assert (1, 0, ()) == (report.rules, report.tests, report.problems)
    write(RULE.replace("feature: output_tokens_1m", "feature: no_such"))

    assert check_rules([tmp_path], tests=False).errors


def test_a_rule_that_does_not_fire_fails_with_the_numbers_it_saw(write, tmp_path):
    write(RULE.replace("floor: 20000", "floor: 9000000"))
    (problem,) = check_rules([tmp_path]).problems

    assert "test 'long answers at ten a second': did not fire for 203.0.113.7/32" in problem.message
    assert "in the end output_tokens_1m 1.0" in problem.message
    assert (16, Severity.ERROR) == (problem.mark.line, problem.severity)


def test_a_rule_that_fires_on_a_near_miss_fails_with_entity_and_numbers(write, tmp_path):
    write(RULE.replace("floor: 20000", "floor: 20").replace("above: 20}", "above: 2}"))
    messages = [problem.message for problem in check_rules([tmp_path]).problems]

    assert 1 == len(messages)
    assert (
        "'a person who asks every minute': should stay quiet, but fired for client" in messages[0]
    )
    assert "output_tokens_1m" in messages[0]


@pytest.mark.parametrize(
    ("nth", "failures"),
    [
        (0, ["'a person", "'a host"]),  # at once: the near misses fail
        (100, ["'a host"]),  # at 10 s: in time, and the person asked only 30 times
        (101, ["'long answers", "'a host"]),  # at 10.1 s: too late
        (300, ["'long answers"]),  # never
    ],
)
def test_a_test_expects_the_entity_by_its_time_or_silence(write, tmp_path, nth, failures):
    write()
    report = check_rules([tmp_path], FakeEngine(nth))
    messages = [problem.message for problem in report.problems]

    assert len(failures) == len(messages)
    assert all(start in message for start, message in zip(failures, messages, strict=True))


def test_firing_for_another_entity_is_no_success(write, tmp_path):
    write(RULE.replace("fires: 203.0.113.7/32", "fires: 203.0.113.9/32"))
    messages = [p.message for p in check_rules([tmp_path], FakeEngine(100)).problems]

    assert "did not fire for 203.0.113.9/32, only for client 203.0.113.7/32" in messages[0]
    assert "no such entity was seen" in messages[0]


def test_input_that_no_log_could_hold_fails_the_test(write, tmp_path):
    write(
        RULE.replace("client: 203.0.113.8", "client: '203.0.113.{i}'").replace(
            "count: 30,", "count: 300,"
        )
    )
    messages = [problem.message for problem in check_rules([tmp_path]).problems]

    assert [
        "test 'a person who asks every minute': would be rejected as a log line (address:client)"
    ] == messages


def test_tests_begin_at_a_fixed_time():
    assert 1_767_571_200.0 == EPOCH_S
