import io
import json
from dataclasses import replace

import pytest

from excise.log import escape_controls, log_alarm, log_decision, make_log
from excise.model.decision import Action, Decision, DecisionEvent, Op, Plane
from excise.model.step import Alarm

DECISION = Decision(
    id="d1",
    plane=Plane.NETWORK,
    target="203.0.113.7/32",
    action=Action.THROTTLE,
    tier="slow",
    since=100.0,
    until=1000.0,
    score=55.0,
    rules=("volume.pace",),
    reason="steady as a clock",
)


def lines(write, *, as_json=True):
    stream = io.StringIO()
    write(make_log(stream, as_json=as_json))
    return stream.getvalue().splitlines()


def test_a_decision_is_one_canonical_line():
    (line,) = lines(lambda log: log_decision(log, DecisionEvent(100.0, Op.ADD, DECISION)))

    written = json.loads(line)
    assert written.pop("time")
    assert written == {
        "level": "info",
        "event": "decide.added",
        "plane": "network",
        "ts": 100.0,
        "target": "203.0.113.7/32",
        "action": "throttle",
        "tier": "slow",
        "until": 1000.0,
        "score": 55.0,
        "rules": ["volume.pace"],
        "reason": "steady as a clock",
        "id": "d1",
    }


@pytest.mark.parametrize(
    ("op", "name"),
    [
        (Op.ADD, "decide.added"),
        (Op.RENEW, "decide.renewed"),
        (Op.ESCALATE, "decide.escalated"),
        (Op.LIFT, "decide.lifted"),
        (Op.EXPIRE, "decide.expired"),
    ],
)
def test_each_change_has_its_event_name(op, name):
    (line,) = lines(lambda log: log_decision(log, DecisionEvent(100.0, op, DECISION)))

    assert json.loads(line)["event"] == name


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(
    "hostile",
    [
        "a\nb",
        "a\r\nfake: line",
        "\x1b[2J\x1b]0;owned\x07",
        "a\u2028b",
        "\u202egnp",
        "\udc80",
        "\x9b31m",
    ],
)
def test_a_hostile_value_cannot_leave_its_line(as_json, hostile):
    odd = replace(DECISION, target=hostile, rules=(hostile,), reason=hostile)

    written = lines(lambda log: log_decision(log, DecisionEvent(1.0, Op.ADD, odd)), as_json=as_json)

    (line,) = written
    for character in set(hostile) - set("ab[2J]0;owned fakeline:gnp31m"):
        own_colours = character == "\x1b" and not as_json
        assert own_colours or character not in line
    assert "\x1b[2J" not in line


def test_a_hostile_alarm_cannot_colour_the_console():
    (line,) = lines(lambda log: log_alarm(log, Alarm(1.0, "blind", "\x1b[31mred")), as_json=False)

    assert "\\x1b[31mred" in line


def test_values_that_are_no_json_are_written_as_text(tmp_path):
    (line,) = lines(lambda log: log.info("store.opened", path=tmp_path))

    assert json.loads(line)["path"] == str(tmp_path)


def test_debug_is_not_written():
    assert lines(lambda log: log.debug("stage.looked")) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [("plain", "plain"), ("a\tb", "a\\tb"), ("é", "é"), ("\x7f", "\\x7f"), ("\u200f", "\\u200f")],
)
def test_control_characters_become_visible(text, expected):
    assert escape_controls(text) == expected
