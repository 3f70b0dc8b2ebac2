"""A journal that the real journalctl reads, made without a running journald."""

import shutil
import subprocess

import pytest

REMOTE = "/lib/systemd/systemd-journal-remote"
HEAD = b"""__REALTIME_TIMESTAMP=%d
__MONOTONIC_TIMESTAMP=%d
_BOOT_ID=0123456789abcdef0123456789abcdef
"""


class MadeJournal:
    """A directory with one journal file; entries are added by systemd's own program."""

    def __init__(self, directory):
        self.directory, self.count = directory, 0
        directory.mkdir()

    def add(self, *entries):
        """Add entries: dictionaries of fields, values of bytes."""
        export = b""
        for fields in entries:
            self.count += 1
            now_us = 1_750_000_000_000_000 + self.count * 1000
            export += HEAD % (now_us, self.count * 1000)
            for key, value in fields.items():
                binary = key.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
                plain = key.encode() + b"=" + value + b"\n"
                export += binary if b"\n" in value or b"\xff" in value else plain
            export += b"\n"
        subprocess.run(
            [REMOTE, "-o", self.directory / "made.journal", "-"],
            input=export,
            check=True,
            capture_output=True,
        )

    def say(self, *messages, unit=b"gate.service"):
        """Add messages of a unit."""
        self.add(*({"_SYSTEMD_UNIT": unit, "MESSAGE": message} for message in messages))


@pytest.fixture
def made_journal(tmp_path):
    if shutil.which("journalctl") is None or shutil.which(REMOTE) is None:
        pytest.skip("takes journalctl and systemd-journal-remote (Debian package of that name)")
    return MadeJournal(tmp_path / "journal")
