"""What a gateway is told lapses by itself."""

import os

import pytest

from excise.gateways.verdicts import (
    DENIED,
    LEASE_S,
    THROTTLED,
    BoardError,
    DirectoryBoard,
    Publisher,
    Term,
)


def terms(minutes=0, **until):
    return {account: Term(at, minutes) for account, at in until.items()}


class Board:
    def __init__(self):
        self.shown = []
        self.broken = False

    def show(self, terms):
        if self.broken:
            raise BoardError("broken")
        self.shown.append(dict(terms))


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def board():
    return Board()


def test_an_account_is_denied_for_a_lease_and_no_longer_than_decided(clock, board):
    Publisher([board], clock).publish(terms(long=9999.0, short=1010.0, over=999.0))
    assert [terms(long=1000.0 + LEASE_S, short=1010.0)] == board.shown


def test_nothing_is_shown_anew_while_nothing_changes_and_the_lease_is_fresh(clock, board):
    publisher = Publisher([board], clock)
    for _ in range(3):
        publisher.publish(terms(a=9999.0))
        clock.now += LEASE_S / 6
    assert 1 == len(board.shown)


def test_a_lease_is_renewed_when_half_of_it_is_over(clock, board):
    publisher = Publisher([board], clock)
    publisher.publish(terms(a=9999.0))
    clock.now += LEASE_S / 2
    publisher.publish(terms(a=9999.0))
    assert [terms(a=1000.0 + LEASE_S), terms(a=1000.0 + 1.5 * LEASE_S)] == board.shown


def test_what_changes_is_shown_at_once(clock, board):
    publisher = Publisher([board], clock)
    for wanted in (terms(a=9999.0), terms(b=9999.0), {}):
        publisher.publish(wanted)
    assert [["a"], ["b"], []] == [list(shown) for shown in board.shown]


def test_names_that_are_no_hashes_are_counted_and_not_shown(clock, board):
    names = ["ok_1", "../up", "a b", "", "x" * 129, "new\nline"]
    wanted = dict.fromkeys(names, Term(9999.0))
    assert 5 == Publisher([board], clock).publish(wanted)
    assert [["ok_1"]] == [list(shown) for shown in board.shown]


def test_a_throttle_by_another_tier_is_shown_at_once(clock, board):
    publisher = Publisher([board], clock)
    publisher.publish(terms(3, a=1010.0))
    publisher.publish(terms(10, a=1010.0))
    assert [terms(3, a=1010.0), terms(10, a=1010.0)] == board.shown


def test_a_board_that_is_broken_does_not_keep_another_from_being_told(clock, board):
    broken = Board()
    broken.broken = True
    publisher = Publisher([broken, board], clock)
    with pytest.raises(BoardError, match="broken"):
        publisher.publish(terms(a=9999.0))
    broken.broken = False
    publisher.publish(terms(a=9999.0))
    assert (1, 2) == (len(broken.shown), len(board.shown))


def test_a_directory_holds_a_file_per_account_that_says_until_when(tmp_path):
    DirectoryBoard(tmp_path, DENIED).show(terms(a=2000.5, b=3000.0))
    assert {"a.denied": (2000.5, ""), "b.denied": (3000.0, "")} == {
        p.name: (p.stat().st_mtime, p.read_text()) for p in tmp_path.iterdir()
    }


def test_the_file_of_a_throttled_account_says_how_many_minutes_come_to_a_turn(tmp_path):
    board = DirectoryBoard(tmp_path, THROTTLED)
    board.show(terms(3, a=2000.0, b=2000.0))
    board.show(terms(3, a=2500.0) | terms(10, b=3000.0))
    assert {"a.throttled": (2500.0, "3\n"), "b.throttled": (3000.0, "10\n")} == {
        p.name: (p.stat().st_mtime, p.read_text()) for p in tmp_path.iterdir()
    }


def test_a_gateway_may_read_the_files_whoever_made_them(tmp_path):
    before = os.umask(0o077)
    try:
        DirectoryBoard(tmp_path, THROTTLED).show(terms(3, a=2000.0))
    finally:
        os.umask(before)
    assert 0o644 == (tmp_path / "a.throttled").stat().st_mode & 0o777


def test_a_directory_is_emptied_of_our_files_and_of_no_others(tmp_path):
    (tmp_path / "hosts").touch()
    DirectoryBoard(tmp_path, THROTTLED).show(terms(3, a=2000.0))
    board = DirectoryBoard(tmp_path, DENIED)
    board.show(terms(a=2000.0, b=2000.0))
    board.show(terms(b=3000.0))
    assert {"hosts", "a.throttled", "b.denied"} == {p.name for p in tmp_path.iterdir()}
    assert 3000.0 == (tmp_path / "b.denied").stat().st_mtime


def test_a_directory_that_is_not_there_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(BoardError, match="no such directory; make it, readable for the gateway"):
        DirectoryBoard(tmp_path / "gone", DENIED).show({})
