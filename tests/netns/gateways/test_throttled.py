"""Throttled accounts, as a real nginx and a real HAProxy serve them with the shipped files."""

import os
import sys
import time

import pytest
from demo.daemon import Daemon
from tests.turns import TURN_S, credential, place

from excise.gateways.haproxy import HaproxyBoard
from excise.gateways.keyed import Keyed
from excise.gateways.verdicts import DENIED, THROTTLED, DirectoryBoard, Publisher, Term

pytestmark = pytest.mark.netns

KEYED = Keyed(b"a key of the test")
BODY = {"model": "stub-70b", "messages": [{"role": "user", "content": "How?"}], "max_tokens": 3}
MINUTES = 3
#: so many requests are served in a turn
SERVED = 6
#: seconds into the cycle: a turn with time left to ask, and no turn for long enough
IN_TURN, OUT = (1, 30), (TURN_S + 1, MINUTES * TURN_S - 30)


def ask(front, bearer):
    """Return the status of an answer, and the seconds after which to come back, -1 for none."""
    status, headers, _ = front.ask(BODY, Authorization=bearer)
    told = {name.lower(): value for name, value in headers.items()}
    return status, int(told.get("retry-after", -1))


def asks(front, bearer, times):
    return [ask(front, bearer)[0] for _ in range(times)]


@pytest.fixture(params=["nginx", "haproxy"])
def front(request):
    if request.param == "haproxy":
        return request.getfixturevalue("haproxy")
    return request.getfixturevalue("make_gateway")()


@pytest.fixture
def boards(front):
    """Give where the gateway looks: for throttles, and for denials."""
    if front.name == "nginx":
        directory = front.world.path("verdicts")
        return DirectoryBoard(directory, THROTTLED), DirectoryBoard(directory, DENIED)
    socket = front.world.path("admin.sock")
    return tuple(
        HaproxyBoard(socket, str(front.world.path(f"{v}.map"))) for v in ("throttled", "denied")
    )


def test_in_its_turn_it_gets_six_requests_and_beyond_429_with_the_time_of_the_next(front, boards):
    slow = credential(KEYED, MINUTES, between=IN_TURN)
    Publisher([boards[0]], time.time).publish(
        {KEYED.account(slow): Term(time.time() + 600, MINUTES)}
    )
    statuses = asks(front, slow, SERVED)
    before = place(KEYED.account(slow), MINUTES, time.time())
    status, after = ask(front, slow)
    assert ([200] * SERVED, 429) == (statuses, status)
    assert before <= MINUTES * TURN_S - after <= place(KEYED.account(slow), MINUTES, time.time())
    refused = front.records(SERVED + 1)[-1]
    assert (429, KEYED.account(slow)) == (refused.status, refused.account)
    assert (-1, ()) == (refused.output_tokens, refused.prompt)


def test_out_of_its_turn_it_gets_nothing_and_is_told_when_that_begins(front, boards):
    slow = credential(KEYED, MINUTES, between=OUT)
    boards[0].show({KEYED.account(slow): Term(time.time() + 30, MINUTES)})
    before = place(KEYED.account(slow), MINUTES, time.time())
    status, after = ask(front, slow)
    assert 429 == status
    assert before <= MINUTES * TURN_S - after <= place(KEYED.account(slow), MINUTES, time.time())


def test_the_minutes_to_a_turn_are_those_that_are_told(front, boards):
    now = time.time()
    slow = next(
        bearer
        for bearer in (f"Bearer sk-{n}" for n in range(10_000))
        if IN_TURN[0] <= place(KEYED.account(bearer), 3, now) <= IN_TURN[1]
        and place(KEYED.account(bearer), 10, now) >= TURN_S
    )
    boards[0].show({KEYED.account(slow): Term(now + 30, 10)})
    strictly, after = ask(front, slow)
    boards[0].show({KEYED.account(slow): Term(now + 30, 3)})
    mildly, _ = ask(front, slow)
    assert (429, 200) == (strictly, mildly)
    assert 10 * TURN_S - place(KEYED.account(slow), 10, now) >= after > 0


def test_others_ask_as_often_as_they_like(front, boards):
    slow = credential(KEYED, MINUTES, between=OUT)
    boards[0].show({KEYED.account(slow): Term(time.time() + 30, MINUTES)})
    assert [200] * 2 * SERVED == asks(front, "Bearer sk-another", 2 * SERVED)
    without = [front.ask(BODY)[0] for _ in range(2 * SERVED)]
    assert ([200] * 2 * SERVED, 429) == (without, ask(front, slow)[0])


def test_who_is_let_go_is_served_at_once(front, boards):
    spent = credential(KEYED, MINUTES, between=IN_TURN)
    out = credential(KEYED, MINUTES, between=OUT)
    publisher = Publisher([boards[0]], time.time)
    publisher.publish({KEYED.account(b): Term(time.time() + 600, MINUTES) for b in (spent, out)})
    assert 429 == asks(front, spent, SERVED + 1)[-1]
    assert 429 == ask(front, out)[0]
    publisher.publish({})
    assert [200, 200] == [ask(front, spent)[0], ask(front, out)[0]]


def test_a_throttle_that_nobody_renews_lapses(front, boards):
    spent = credential(KEYED, MINUTES, between=IN_TURN)
    out = credential(KEYED, MINUTES, between=OUT)
    accounts = [KEYED.account(b) for b in (spent, out)]
    boards[0].show({a: Term(time.time() + 30, MINUTES) for a in accounts})
    assert 429 == asks(front, spent, SERVED + 1)[-1]
    boards[0].show({a: Term(time.time() - 1, MINUTES) for a in accounts})
    assert [200, 200] == [ask(front, spent)[0], ask(front, out)[0]]


def test_a_denial_goes_before_a_throttle(front, boards):
    slow = credential(KEYED, MINUTES, between=IN_TURN)
    throttled, denied = boards
    throttled.show({KEYED.account(slow): Term(time.time() + 30, MINUTES)})
    denied.show({KEYED.account(slow): Term(time.time() + 30)})
    assert (429, 60) == ask(front, slow)


def test_what_nginx_cannot_make_sense_of_throttles_nobody(make_gateway):
    nginx = make_gateway()
    slow = credential(KEYED, MINUTES, between=OUT)
    file = nginx.world.path("verdicts") / f"{KEYED.account(slow)}{THROTTLED}"
    DirectoryBoard(file.parent, THROTTLED).show(
        {KEYED.account(slow): Term(time.time() + 30, MINUTES)}
    )
    for text in ("", "soon\n", "0\n", "-3\n"):
        stamp = file.stat().st_mtime
        file.write_text(text)
        os.utime(file, (stamp, stamp))
        assert 200 == ask(nginx, slow)[0]


def test_the_operator_throttles_an_account_and_lifts_it(front):
    """All of it: the daemon, the command line, `excise verdicts`, the gateway."""
    world = front.world
    daemon = Daemon(world)
    daemon.start()
    slow = credential(KEYED, 10, between=(TURN_S, 5 * TURN_S))
    where = (
        ("--directory", str(world.path("verdicts")))
        if front.name == "nginx"
        else ("--haproxy", str(world.path("admin.sock")), "--map", str(world.path("denied.map")),
              "--throttled-map", str(world.path("throttled.map")))
    )  # fmt: skip
    world.start("verdicts", world.server, sys.executable, "-m", "excise", "verdicts", *where,
                "--every", "0.1", "--config", str(daemon.config))  # fmt: skip
    daemon.cli("throttle", KEYED.account(slow), "--tier", "crawl", "--reason", "a test")
    front.until(lambda: ask(front, slow)[0] == 429)
    assert 200 == ask(front, "Bearer sk-another")[0]
    daemon.cli("lift", KEYED.account(slow))
    front.until(lambda: ask(front, slow)[0] == 200)
