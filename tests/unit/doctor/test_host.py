"""The doctor: each check, fine and not, by what it looks at."""

import os

import pytest

from excise.config import Config, InputConfig
from excise.doctor.check import Check, State
from excise.doctor.host import (
    check_clock,
    check_config,
    check_input,
    check_kernel,
    check_rules,
    check_state,
)
from excise.errors import ConfigError, Mark

as_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")


def test_an_invalid_configuration_fails_with_its_place(tmp_path):
    errors = [ConfigError("unknown key", Mark("x.yaml", 3, 1)), ConfigError("another")]
    check = check_config(Config(), errors)
    assert (State.FAIL, "x.yaml:3:1: unknown key (and 1 more)") == (check.state, check.text)


def test_a_missing_default_configuration_is_worth_a_word():
    assert State.WARN is check_config(Config(notes=("none there",)), []).state


def test_a_valid_configuration_names_its_posture(tmp_path):
    check = check_config(Config(path=tmp_path / "excise.yaml"), [])
    assert (State.OK, f"{tmp_path}/excise.yaml: posture observe") == (check.state, check.text)


def test_rules_that_are_not_there_fail(tmp_path):
    assert State.FAIL is check_rules(Config(rules=(tmp_path / "none",))).state
    empty = check_rules(Config(rules=(tmp_path,)))
    assert (State.FAIL, "there are none") == (empty.state, empty.text)


def test_a_broken_rule_fails_with_its_place(tmp_path):
    (tmp_path / "broken.yaml").write_text("id: [\n")
    check = check_rules(Config(rules=(tmp_path,)))
    assert (State.FAIL, True) == (check.state, "broken.yaml:" in check.text)


def test_an_input_is_readable_or_waited_for(tmp_path):
    log = tmp_path / "excise.log"
    assert State.WARN is check_input(InputConfig(log)).state
    log.touch()
    expected = Check("input", State.OK, f"{log} (record) is readable")
    assert expected == check_input(InputConfig(log, "record"))
    assert State.OK is check_input(InputConfig(None)).state


@as_root
def test_an_input_that_may_not_be_read_fails(tmp_path):
    log = tmp_path / "excise.log"
    log.touch(mode=0)
    assert State.FAIL is check_input(InputConfig(log)).state


def test_the_state_directory_is_writable_or_can_be_made(tmp_path):
    assert State.OK is check_state(tmp_path).state
    assert f"{tmp_path}/a/b will be made" == check_state(tmp_path / "a" / "b").text
    assert not (tmp_path / "a").exists()


def test_a_file_is_no_state_directory(tmp_path):
    (tmp_path / "state").touch()
    assert State.FAIL is check_state(tmp_path / "state").state


@pytest.mark.parametrize(
    ("release", "persist", "expected"),
    [
        ("6.12.0-amd64", True, State.OK),
        ("6.1.0-18-amd64", False, State.OK),
        ("6.1.0-18-amd64", True, State.WARN),
        ("5.11.0", False, State.OK),
        ("5.10.0-28-amd64", False, State.FAIL),
        ("unknown", False, State.FAIL),
    ],
)
def test_the_kernel_must_be_new_enough(release, persist, expected):
    assert expected is check_kernel(release, persist=persist).state


@pytest.mark.parametrize(
    ("now", "synchronised", "expected"),
    [(1000.0, True, State.FAIL), (3000.0, False, State.WARN), (3000.0, True, State.OK)],
)
def test_the_clock_can_be_right(now, synchronised, expected):
    assert expected is check_clock(now, 2000.0, synchronised).state
