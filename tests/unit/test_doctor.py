"""The doctor: each check, fine and not, by what it looks at."""

import os

import pytest

from excise.config import Backend, Config, InputConfig, JournalConfig, SocketConfig, Wire
from excise.doctor import (
    Check,
    Held,
    State,
    check_clock,
    check_config,
    check_input,
    check_kernel,
    check_rules,
    check_state,
    check_tables,
    examine,
)
from excise.errors import ConfigError, Mark, PrivilegeError

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


def test_a_pattern_is_readable_or_waited_for(tmp_path):
    one = InputConfig(tmp_path / "*.log")
    assert State.WARN is check_input(one).state
    (tmp_path / "a.log").touch()
    (tmp_path / "a.log.1.gz").touch()
    expected = Check("input", State.OK, f"{tmp_path}/*.log: readable, 1 now")
    assert expected == check_input(one)


def test_a_socket_needs_its_directory(tmp_path):
    def check(path):
        return check_input(InputConfig(socket=SocketConfig(Wire.UNIX, path=path))).state

    assert State.OK is check(tmp_path / "in.sock")
    assert State.FAIL is check(tmp_path / "none" / "in.sock")
    inet = SocketConfig(Wire.UDP, syslog=True, address=("127.0.0.1", 5514))
    assert State.OK is check_input(InputConfig(socket=inet)).state


def test_a_journal_that_cannot_be_read_fails(tmp_path):
    journal = JournalConfig(units=("a.service",), directory=tmp_path / "none")
    assert State.FAIL is check_input(InputConfig(journal=journal)).state


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


def tables_of(*held):
    return {check.name: check for check in check_tables(Backend.NFTABLES, lambda: list(held))}


def test_an_empty_ruleset_is_fine():
    checks = tables_of()
    assert {State.OK} == {check.state for check in checks.values()}
    assert ("will be made", "none found") == (
        checks["own table"].text,
        checks["other firewalls"].text,
    )


def test_a_foreign_table_of_our_name_fails():
    assert State.FAIL is tables_of(Held("excise", ours=False))["own table"].state
    assert "in place" == tables_of(Held("excise", ours=True))["own table"].text


def test_other_firewalls_are_named():
    text = tables_of(
        Held("firewalld", ours=False),
        Held("filter", ours=False, chains=("INPUT", "ufw-user-input", "DOCKER-USER")),
        Held("f2b-table", ours=False),
        Held("crowdsec6", ours=False),
        Held("mine", ours=False),
    )["other firewalls"].text
    assert text.startswith("CrowdSec, Docker, fail2ban, firewalld, ufw: ")


@pytest.mark.parametrize(
    ("backend", "expected"), [(Backend.NFTABLES, State.FAIL), (Backend.DRY_RUN, State.WARN)]
)
def test_without_the_privilege_only_who_needs_it_fails(backend, expected):
    def refuse():
        raise PrivilegeError("operation not permitted")

    (check,) = check_tables(backend, refuse)
    assert (expected, "operation not permitted") == (check.state, check.text)


def test_everything_is_looked_at_even_if_the_configuration_is_broken(tmp_path):
    config = tmp_path / "excise.yaml"
    config.write_text("postur: observe\n")
    names = [check.name for check in examine(config, list)]
    assert [
        "configuration",
        "rules",
        "input",
        "state directory",
        "kernel",
        "clock",
        "nftables",
        "own table",
        "other firewalls",
    ] == names
