"""Files and sockets that lines go to."""

import errno
import os
import socket
from itertools import count

import pytest

from excise.gateways.outlet import FileOutlet, LostError, SocketOutlet


@pytest.fixture
def path(tmp_path):
    return tmp_path / "records"


@pytest.fixture
def make_file(path):
    made = []

    def make():
        made.append(FileOutlet(path, clock=count(0, 10).__next__))
        return made[-1]

    yield make
    for outlet in made:
        outlet.close()


def test_lines_are_appended_and_readable_by_owner_and_group(make_file, path):
    path.write_bytes(b"before\n")
    make_file().write(b"line\n")
    assert b"before\nline\n" == path.read_bytes()


def test_a_new_file_is_not_for_everybody(make_file, path):
    make_file().write(b"line\n")
    assert 0 == path.stat().st_mode & 0o007


def test_a_file_is_there_before_its_first_line(make_file, path):
    make_file()
    assert b"" == path.read_bytes()


def test_two_writers_share_a_file(make_file, path):
    one, other = make_file(), make_file()
    for _ in range(3):
        one.write(b"one\n")
        other.write(b"other\n")
    assert b"one\nother\n" * 3 == path.read_bytes()


def test_a_rotated_file_is_left_for_the_new_one(make_file, path):
    outlet = make_file()
    outlet.write(b"old\n")
    rotated = path.rename(path.with_suffix(".1"))
    outlet.write(b"new\n")
    assert (b"old\n", b"new\n") == (rotated.read_bytes(), path.read_bytes())


def test_a_truncated_file_goes_on_at_its_beginning(make_file, path):
    outlet = make_file()
    outlet.write(b"old\n")
    os.truncate(path, 0)
    outlet.write(b"new\n")
    assert b"new\n" == path.read_bytes()


def test_a_file_that_cannot_be_opened_loses_the_line_and_is_tried_again(make_file, path):
    path.mkdir()
    outlet = make_file()
    with pytest.raises(LostError, match="cannot be opened"):
        outlet.write(b"lost\n")
    path.rmdir()
    outlet.write(b"kept\n")
    assert b"kept\n" == path.read_bytes()


def test_a_named_pipe_without_a_reader_does_not_wait(make_file, path):
    os.mkfifo(path)
    with pytest.raises(LostError):
        make_file().write(b"lost\n")


def test_a_disk_that_takes_half_a_line_does_not_spoil_the_next(make_file, path, monkeypatch):
    outlet, write = make_file(), os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:3]))
    with pytest.raises(LostError, match="disk full"):
        outlet.write(b"broken\n")
    monkeypatch.setattr(os, "write", write)
    outlet.write(b"whole\n")
    assert b"bro\nwhole\n" == path.read_bytes()


def test_a_full_disk_loses_the_line_and_says_so(make_file, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    outlet = make_file()
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(LostError, match="No space left"):
        outlet.write(b"lost\n")


def test_a_reader_that_comes_back_is_found_again(path):
    outlet = SocketOutlet(path, clock=count(0, 10).__next__)
    got = []
    for line in (b"one\n", b"two\n"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
            reader.bind(str(path))
            outlet.write(line)
            got.append(reader.recv(100))
        path.unlink()
        with pytest.raises(LostError):
            outlet.write(b"lost\n")
    outlet.close()
    assert [b"one", b"two"] == got


def test_a_missing_socket_is_looked_for_once_a_second_only(path):
    outlet = SocketOutlet(path, clock=lambda: 0.0)
    with pytest.raises(LostError, match="has no reader"):
        outlet.write(b"lost\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
        reader.bind(str(path))
        with pytest.raises(LostError, match="has no reader"):
            outlet.write(b"lost\n")
    outlet.close()


def test_a_line_too_long_for_a_datagram_is_lost_alone(path):
    outlet = SocketOutlet(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
        reader.bind(str(path))
        with pytest.raises(LostError):
            outlet.write(b"x" * 10_000_000)
        outlet.write(b"short\n")
        assert b"short" == reader.recv(100)
    outlet.close()
