"""What the doctor says of inputs."""

import os

import pytest

from excise.config import InputConfig, JournalConfig, SocketConfig, Wire
from excise.doctor.check import Check, State
from excise.doctor.inputs import check_input

as_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")


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
