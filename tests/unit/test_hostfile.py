"""Files of the state directory: whole or not at all, and its owner's."""

import os
import stat

import pytest

from excise.hostfile import give_to_owner, make_empty, write_whole

NOBODY = 65_534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def others(tmp_path):
    """A directory of somebody else's, as the service's state directory is for root."""
    directory = tmp_path / "state"
    directory.mkdir()
    os.chown(directory, NOBODY, NOBODY)
    return directory


def test_a_file_is_replaced_with_the_mode_it_should_have(tmp_path):
    path = tmp_path / "f"
    path.write_text("old")

    write_whole(path, (b"ne", b"w"), 0o600)

    assert ("new", 0o600) == (path.read_text(), stat.S_IMODE(path.stat().st_mode))


def test_a_full_disk_leaves_the_old_file_and_no_half_of_the_new(tmp_path):
    path = tmp_path / "f"
    path.write_text("old")

    def pieces():
        yield b"ne"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_whole(path, pieces(), 0o600)

    assert ("old", [path]) == (path.read_text(), list(tmp_path.iterdir()))


def test_what_a_crash_left_half_written_is_in_nobodys_way(tmp_path):
    (tmp_path / "f.tmp").write_text("half")

    write_whole(tmp_path / "f", (b"new",), 0o600)

    assert [tmp_path / "f"] == list(tmp_path.iterdir())


def test_an_empty_file_is_made_once(tmp_path):
    make_empty(tmp_path / "f", 0o600)
    (tmp_path / "f").write_text("kept")
    make_empty(tmp_path / "f", 0o600)

    assert "kept" == (tmp_path / "f").read_text()


@as_root
def test_what_root_makes_in_anothers_directory_is_that_users(others):
    make_empty(others / "empty", 0o600)
    write_whole(others / "whole", (b"x",), 0o600)

    assert {(NOBODY, NOBODY)} == {(s.st_uid, s.st_gid) for s in map(os.stat, others.iterdir())}


@as_root
def test_in_its_own_directory_root_keeps_what_it_makes(tmp_path):
    with (tmp_path / "f").open("w") as file:
        os.chown(tmp_path / "f", NOBODY, NOBODY)
        give_to_owner(file.fileno(), tmp_path)

    assert NOBODY == (tmp_path / "f").stat().st_uid
