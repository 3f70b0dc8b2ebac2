"""HAProxy's runtime socket, as its management guide says; tests/netns asks the real one."""

import re
import socket
import threading
from contextlib import contextmanager

import pytest

from excise.gateways.haproxy import ROWS_AT_ONCE, HaproxyBoard
from excise.gateways.verdicts import BoardError, Term


@contextmanager
def answering(path, answers):
    """Serve one command a connection; yield the commands."""
    heard = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(10)

        def serve():
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    heard.append(connection.recv(65_536).decode())
                    connection.sendall(answer.encode())

        thread = threading.Thread(target=serve)
        thread.start()
        yield heard
        thread.join(10)


def test_a_map_is_swapped_as_a_whole(tmp_path):
    path = tmp_path / "admin.sock"
    with answering(path, ["New version created: 7\n\n", "\n", "\n"]) as heard:
        HaproxyBoard(path, "/m").show({"a": Term(2000.9), "b": Term(3000.0)})
    assert [
        "prepare map /m\n",
        "add map @7 /m <<\na 2000\nb 3000\n\n",
        "commit map @7 /m\n",
    ] == heard


def test_the_row_of_a_throttled_account_says_how_many_minutes_come_to_a_turn(tmp_path):
    path = tmp_path / "admin.sock"
    with answering(path, ["New version created: 7\n\n", "\n", "\n"]) as heard:
        HaproxyBoard(path, "/m").show({"a": Term(2000.9, 3)})
    assert "add map @7 /m <<\na 2000:3\n\n" == heard[1]


def test_a_map_that_is_not_required_is_missed_only_when_somebody_is_on_it(tmp_path):
    path = tmp_path / "admin.sock"
    unknown = "Unknown map identifier.\n"
    with answering(path, [unknown, unknown]) as heard:
        board = HaproxyBoard(path, "/m", required=False)
        board.show({})
        with pytest.raises(BoardError, match="has no map /m"):
            board.show({"a": Term(1.0, 3)})
    assert ["prepare map /m\n"] * 2 == heard


def test_many_rows_come_in_pieces_that_fit_haproxys_buffer(tmp_path):
    path = tmp_path / "admin.sock"
    count = 2 * ROWS_AT_ONCE + 1
    with answering(path, ["New version created: 1\n", "", "", "", ""]) as heard:
        HaproxyBoard(path, "/m").show({f"{n:0128}": Term(2e9, 10) for n in range(count)})
    assert count == sum(len(re.findall(r"^\d{128} ", text, re.MULTILINE)) for text in heard)
    assert max(map(len, heard)) < 16_384


@pytest.mark.parametrize(
    ("answers", "match"),
    [
        (["Unknown map identifier.\n"], "has no map /m"),
        (["New version created: 1\n", "'key' not valid\n"], "not valid"),
    ],
)
def test_what_haproxy_refuses_is_an_error(tmp_path, answers, match):
    path = tmp_path / "admin.sock"
    with answering(path, answers), pytest.raises(BoardError, match=match):
        HaproxyBoard(path, "/m").show({"a": Term(1.0)})


def test_a_socket_where_nobody_is_is_an_error(tmp_path):
    with pytest.raises(BoardError, match="No such file"):
        HaproxyBoard(tmp_path / "gone.sock", "/m").show({})
