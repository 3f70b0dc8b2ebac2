"""Who may do what: rights, the bearer token, and the gate against browsers."""

import os
import socket
import struct
import subprocess
import sys
import textwrap

import pytest

from excise.api.access import Peer, Right, read_peer, right_of_peer


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        (Peer(1, 0, frozenset({0})), Right.WRITE),
        (Peer(1, 990, frozenset({990})), Right.WRITE),
        (Peer(1, 1000, frozenset({1000, 77})), Right.READ),
        (Peer(1, 1000, frozenset({77})), Right.READ),
        (Peer(1, 1000, frozenset({1000})), Right.NONE),
    ],
)
def test_root_and_the_daemon_write_the_group_reads_others_nothing(peer, expected):
    assert expected == right_of_peer(peer, own_uid=990, socket_gid=77)


@pytest.mark.parametrize(
    ("has", "needed", "expected"),
    [
        (Right.NONE, Right.NONE, True),
        (Right.NONE, Right.READ, False),
        (Right.READ, Right.READ, True),
        (Right.READ, Right.WRITE, False),
        (Right.WRITE, Right.READ, True),
    ],
)
def test_the_right_to_write_covers_reading(has, needed, expected):
    assert expected == has.covers(needed)


def test_the_kernel_names_the_peer_and_its_groups():
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        peer = read_peer(ours)
    assert (os.getpid(), os.getuid()) == (peer.pid, peer.uid)
    assert {os.getgid(), *os.getgroups()} == peer.groups


class ManyGroups:
    """A socket whose peer is in more groups than fit."""

    def getsockopt(self, _level, option, _size):
        if option == socket.SO_PEERCRED:
            return struct.pack("3i", 7, 1000, 1000)
        raise OSError(34, "Numerical result out of range")


def test_with_too_many_groups_the_primary_one_still_counts():
    assert Peer(7, 1000, frozenset({1000})) == read_peer(ManyGroups())


ASK = """
    import http.client, os, socket, sys
    path, uid, gid, method, route = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:]
    os.setgroups([]); os.setgid(gid); os.setuid(uid)
    c = http.client.HTTPConnection("localhost", timeout=5)
    c.sock = socket.socket(socket.AF_UNIX); c.sock.connect(path)
    c.request(method, route)
    print(c.getresponse().status)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root to become somebody else")
@pytest.mark.parametrize(
    ("gid", "route", "expected"),
    [
        (77, "GET /v1/status", 200),
        (77, "POST /v1/reload", 403),
        (78, "GET /v1/status", 403),
        (78, "GET /openapi.json", 403),
        (78, "GET /livez", 200),
        (78, "GET /readyz", 200),
    ],
)
def test_a_stranger_gets_what_the_sockets_group_says(tmp_path, serve_in, gid, route, expected):
    with serve_in(tmp_path) as served:
        os.chown(served.socket_path, 0, 77)
        os.chmod(served.socket_path, 0o666)  # so that the API decides, not the file's mode
        directory = served.socket_path.parent
        while directory != directory.parent:
            directory.chmod(directory.stat().st_mode | 0o001)
            directory = directory.parent
        arguments = [str(served.socket_path), "54321", str(gid), *route.split()]
        done = subprocess.run(
            [sys.executable, "-I", "-c", textwrap.dedent(ASK), *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        assert f"{expected}\n" == done.stdout


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_the_token_opens_loopback_for_reading_and_writing(served_tcp):
    headers = bearer(served_tcp.token)
    assert 200 == served_tcp.ask_tcp("GET", "/v1/status", headers=headers)[0]
    assert 200 == served_tcp.ask_tcp("POST", "/v1/reload", headers=headers)[0]


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}, bearer("\u00e9")],
)
def test_without_the_token_loopback_stays_shut(served_tcp, headers):
    status, sent, problem = served_tcp.ask_tcp("GET", "/v1/status", headers=headers)
    assert (401, 'Bearer realm="excise"', 401) == (
        status,
        sent["WWW-Authenticate"],
        problem["status"],
    )


@pytest.mark.parametrize("route", ["/livez", "/readyz"])
def test_health_needs_no_token(served_tcp, route):
    assert 200 == served_tcp.ask_tcp("GET", route)[0]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", 200),
        ("localhost:7788", 200),
        ("127.0.0.1:80", 200),
        ("[::1]:7788", 200),
        ("[::1]", 200),
        ("LOCALHOST", 200),
        ("rebound.example", 421),
        ("rebound.example:7788", 421),
        ("127.0.0.1.rebound.example", 421),
        ("", 421),
    ],
)
def test_only_our_names_are_served_on_loopback(served_tcp, host, expected):
    headers = bearer(served_tcp.token) | {"Host": host}
    assert expected == served_tcp.ask_tcp("GET", "/v1/status", headers=headers)[0]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://localhost:7788"},
        {"Origin": "null"},
        {"Referer": "http://localhost/"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_what_a_page_sends_is_refused(served_tcp, headers):
    status, sent, problem = served_tcp.ask_tcp(
        "GET", "/v1/status", headers=bearer(served_tcp.token) | headers
    )
    assert (403, 403) == (status, problem["status"])
    assert "Access-Control-Allow-Origin" not in sent
    assert 403 == served_tcp.ask("GET", "/v1/status", headers=headers)[0]
