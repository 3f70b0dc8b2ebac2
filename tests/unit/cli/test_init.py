"""`excise init`: a first configuration, never over another."""

import os
import stat
from pathlib import Path

import pytest

from excise.cli import init

TEXT = "posture: observe\n"
RULES = Path(__file__).parents[3] / "rules"


def test_it_writes_a_file_that_check_takes_and_says_what_to_do_next(excise, tmp_path):
    file = tmp_path / "etc" / "excise.yaml"
    done = excise("init", "--config", file)
    assert (0, "") == (done.returncode, done.stderr)
    assert f"{file} written: " in done.stdout
    assert f"excise doctor --config {file}" in done.stdout
    assert "systemctl enable --now excise" in done.stdout
    assert 0o644 == stat.S_IMODE(file.stat().st_mode)
    assert ["excise.yaml"] == os.listdir(file.parent)
    rules = tmp_path / "rules.yaml"
    rules.write_text(f"{file.read_text()}\nrules: [{RULES}]\n")
    checked = excise("check", "--config", rules)
    assert (0, True) == (checked.returncode, checked.stdout.endswith("all good\n"))


def test_it_replaces_nothing_unless_forced(excise, tmp_path):
    file = tmp_path / "excise.yaml"
    file.write_text("mine\n")
    refused = excise("init", "--config", file)
    assert (4, "mine\n") == (refused.returncode, file.read_text())
    assert f"excise: {file} is there already; --force replaces it" in refused.stderr
    assert 0 == excise("init", "--config", file, "--force").returncode
    assert "posture: observe\n" in file.read_text()


@pytest.mark.parametrize("arguments", [["--stdout"], ["--config", "-"]])
def test_it_prints_it_and_writes_nothing(excise, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    done = excise("init", *arguments)
    assert (0, True) == (done.returncode, "\nposture: observe\n" in done.stdout)
    assert [] == os.listdir(tmp_path)


def test_a_link_that_leads_nowhere_is_not_followed(excise, tmp_path):
    (tmp_path / "excise.yaml").symlink_to(tmp_path / "elsewhere")
    done = excise("init", "--config", tmp_path / "excise.yaml")
    assert (4, False) == (done.returncode, (tmp_path / "elsewhere").exists())


def test_a_file_that_appears_meanwhile_is_kept(tmp_path):
    file = tmp_path / "excise.yaml"
    file.write_text("theirs")
    with pytest.raises(init.RefusedError, match="there already"):
        init.write(file, TEXT, force=False)
    assert (["excise.yaml"], "theirs") == (os.listdir(tmp_path), file.read_text())


def test_a_place_that_cannot_be_written_says_so(excise, tmp_path):
    done = excise("init", "--config", tmp_path / "none" / "none" / "excise.yaml")
    assert 1 == done.returncode
    assert "cannot be written: No such file or directory" in done.stderr
