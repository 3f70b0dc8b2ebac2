"""The last lines of a log, and only whole ones."""

import os
import shutil

import pytest

from excise.config import JournalConfig
from excise.doctor.tail import journal_lines, last_lines
from excise.errors import SourceError


@pytest.mark.parametrize(
    ("content", "most", "expected"),
    [
        (b"", 10, []),
        (b"one\ntwo\n", 100, [b"one", b"two"]),
        (b"one\ntwo\nunfinis", 100, [b"one", b"two"]),
        (b"one\ntwo\n", 5, [b"two"]),
        (b"one\ntwo\n", 4, [b"two"]),
        (b"one\ntwo\n", 3, []),
        (b"x" * 50 + b"\n", 10, []),
        (b"no end", 100, []),
    ],
)
def test_whole_lines_within_the_last_bytes_are_read(tmp_path, content, most, expected):
    log = tmp_path / "a.log"
    log.write_bytes(content)
    assert expected == last_lines(log, most)


def test_what_is_no_plain_file_is_neither_read_nor_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(SourceError, match="no plain file"):
        last_lines(tmp_path / "fifo")
    with pytest.raises(SourceError, match="No such file"):
        last_lines(tmp_path / "none")


def test_a_journal_that_is_not_there_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match="journalctl is not there"):
        journal_lines(JournalConfig(units=("a.service",)))


@pytest.mark.skipif(not shutil.which("journalctl"), reason="journalctl (systemd) is not there")
def test_a_journal_without_entries_has_no_lines(tmp_path):
    assert [] == journal_lines(JournalConfig(units=("a.service",), directory=tmp_path))


def test_of_a_journal_the_last_entries_are_read_and_no_more(tmp_path, monkeypatch):
    program = tmp_path / "journalctl"
    program.write_text(
        "#!/bin/sh\n"
        'case "$*" in *--lines=1000*_SYSTEMD_UNIT=a.service*) ;; *) exit 1;; esac\n'
        """echo '{"__CURSOR":"c1","MESSAGE":"one"}'; echo '{"__CURSOR":"c2","MESSAGE":"two"}'\n"""
        'printf \'{"__CURSOR":"c3"\'\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert [b"one", b"two"] == journal_lines(JournalConfig(units=("a.service",)))
