"""The live feed: order, resumption, heartbeats, and readers that leave or stall."""

import http.client
import json
import socket
import threading
from contextlib import closing

import pytest

from excise.api.events import STREAMS_MOST, Pace
from excise.model.step import Alarm


def read_events(response, count):
    """Return so many (id, event, data) and the comments between them."""
    found, comments, fields = [], [], {}
    while len(found) < count:
        line = response.readline().decode().rstrip("\n")
        if line.startswith(":"):
            comments.append(line)
        elif line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
            fields = {}
    return found, comments


def parse(text):
    return [
        dict(line.split(": ", 1) for line in block.splitlines())
        for block in text.split("\n\n")
        if block and not block.startswith(":")
    ]


def test_kept_events_come_in_order_with_their_names(served):
    _, headers, text = served.ask("GET", "/v1/events?follow=false")
    assert "text/event-stream" == headers["Content-Type"]
    assert [("1", "decision"), ("2", "finding"), ("3", "alarm"), ("4", "decision")] == [
        (event["id"], event["event"]) for event in parse(text)
    ]


def test_a_decision_is_the_object_of_the_stream(served):
    _, _, text = served.ask("GET", "/v1/events?follow=false&only=decision")
    first = json.loads(parse(text)[0]["data"])
    assert {
        "ts": 1000.0,
        "op": "add",
        "id": "d1",
        "plane": "network",
        "target": "203.0.113.7/32",
        "action": "throttle",
        "tier": "crawl",
        "until": 1900.0,
        "score": 61.25,
        "rules": ["volume.flood"],
        "reason": "It asks for far more than others do.",
    } == first


def test_a_finding_has_its_numbers_and_an_alarm_its_text(served):
    _, _, text = served.ask("GET", "/v1/events?follow=false&only=finding,alarm")
    finding, alarm = (json.loads(event["data"]) for event in parse(text))
    assert {
        "event": "finding",
        "ts": 1000.0,
        "rule": "volume.flood",
        "kind": "client",
        "name": "203.0.113.7/32",
        "weight": 40.0,
        "numbers": [{"feature": "requests_1h", "value": 4120.0, "threshold": 1800.5}],
    } == finding
    assert ("alarm", "governor-tripped") == (alarm["event"], alarm["code"])


@pytest.mark.parametrize(
    ("last", "expected"), [("0", [1, 2, 3, 4]), ("2", [3, 4]), ("4", []), ("99", [])]
)
def test_a_reader_resumes_after_the_last_event_it_had(served, last, expected):
    _, _, text = served.ask("GET", "/v1/events?follow=false", headers={"Last-Event-ID": last})
    assert expected == [int(event["id"]) for event in parse(text)]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/events", {"Last-Event-ID": "x"}),
        ("/v1/events", {"Last-Event-ID": "-1"}),
        ("/v1/events?only=gossip", {}),
        ("/v1/events?only=", {}),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(served, path, headers):
    assert 422 == served.ask("GET", path, headers=headers)[0]


def test_nothing_kept_ends_at_once(tmp_path, serve_in):
    with serve_in(tmp_path, empty=True) as served:
        assert [] == parse(served.ask("GET", "/v1/events?follow=false")[2])


def test_what_happens_next_is_sent_as_it_happens_with_heartbeats_between(served):
    connection, response = served.stream(headers={"Last-Event-ID": "3"})
    with closing(connection):
        assert [(4, "decision")] == [event[:2] for event in read_events(response, 1)[0]]
        beats = [response.readline() for _ in range(4)]
        assert b": still here\n" in beats
        served.call(served.control.live.put_nowait, (5, Alarm(1003.0, "clock-jumped", "by 2 h")))
        (event,), _ = read_events(response, 1)
        assert (5, "alarm", "by 2 h") == (event[0], event[1], event[2]["text"])


def wait_until(served, condition):
    """Wait on the server's loop until `condition()` holds, at most two seconds."""
    done = threading.Event()
    ticks = iter(range(200))

    def look():
        if condition():
            done.set()
        elif next(ticks, None) is not None:
            served.loop.call_later(0.01, look)

    served.call(look)
    assert done.wait(4)


def test_a_reader_that_leaves_is_let_go(served):
    connection, response = served.stream()
    response.readline()
    wait_until(served, lambda: served.control.readers == 1)
    response.close()
    connection.close()
    wait_until(served, lambda: served.control.readers == 0)


def test_a_reader_that_takes_nothing_is_cut_off(tmp_path, serve_in):
    pace = Pace(heartbeat_s=60, look_s=60, slow_s=0.2)
    with serve_in(tmp_path, empty=True, pace=pace) as served:
        with closing(socket.socket(socket.AF_UNIX)) as sock:
            sock.connect(str(served.socket_path))
            sock.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            wait_until(served, lambda: served.control.readers == 1)
            big = Alarm(1.0, "big", "x" * 100_000)
            for serial in range(1, 51):
                served.call(served.control.live.put_nowait, (serial, big))
            wait_until(served, lambda: served.control.readers == 0)
        assert 200 == served.ask("GET", "/livez")[0]


def test_streams_are_bounded(tmp_path, serve_in):
    with serve_in(tmp_path) as served:
        streams = [served.stream() for _ in range(STREAMS_MOST)]
        assert {200} == {response.status for _, response in streams}
        assert 503 == served.ask("GET", "/v1/events")[0]
        for connection, response in streams:
            response.close()
            connection.close()


def test_stopping_does_not_wait_for_readers(tmp_path, serve_in):
    with serve_in(tmp_path) as served:
        connection, response = served.stream()
        response.readline()
    with closing(connection), closing(response), pytest.raises(http.client.IncompleteRead):
        response.read()
    assert not served.socket_path.exists()
