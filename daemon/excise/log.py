"""Logging: events named `stage.past_verb`, JSON for machines, columns for a terminal.

Every decision is one canonical line. Values come from logs that strangers write, so nothing is
ever formatted into a line unescaped: JSON encodes, the console renderer shows control
characters as escapes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Protocol, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

from excise.model.decision import DecisionEvent, Op
from excise.model.step import Alarm

DECISION_EVENTS = {
    Op.ADD: "decide.added",
    Op.RENEW: "decide.renewed",
    Op.ESCALATE: "decide.escalated",
    Op.LIFT: "decide.lifted",
    Op.EXPIRE: "decide.expired",
}
_DECISION_KEYS = ("target", "action", "tier", "until", "score", "rules", "reason", "id", "campaign")


class Log(Protocol):
    """What the daemon needs of a logger: an event name and values."""

    def debug(self, event: str, /, **values: object) -> object:
        """Say something for a developer."""
        ...

    def info(self, event: str, /, **values: object) -> object:
        """Say what happened."""
        ...

    def warning(self, event: str, /, **values: object) -> object:
        """Say what a person should look at."""
        ...

    def error(self, event: str, /, **values: object) -> object:
        """Say what does not work."""
        ...


def make_log(
    stream: TextIO | None = None, *, as_json: bool | None = None, level: str = "info"
) -> Log:
    """Return a logger that writes to `stream` (standard error); JSON unless it is a terminal."""
    stream = stream or sys.stderr
    as_json = not stream.isatty() if as_json is None else as_json
    renderer: Callable[[WrappedLogger, str, EventDict], str]
    renderer = _render_json if as_json else structlog.dev.ConsoleRenderer(colors=not as_json)
    logger: Log = structlog.wrap_logger(
        structlog.PrintLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            *([] if as_json else [_console_time, _escape]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )
    return logger


def log_decision(log: Log, event: DecisionEvent) -> None:
    """Write the canonical line of a decision's change."""
    wire = event.to_wire()
    values = {key: wire[key] for key in _DECISION_KEYS if key in wire}
    log.info(DECISION_EVENTS[event.op], plane=wire["plane"], ts=wire["ts"], **values)


def log_alarm(log: Log, alarm: Alarm) -> None:
    """Write an alarm: what a person must look at."""
    log.warning("alarm.raised", code=alarm.code, text=alarm.text)


def escape_controls(text: str) -> str:
    r"""Return `text` with every character that could move a cursor or end a line as `\x1b`-like."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _render_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    head = {"time": event.pop("time", None), "level": event.pop("level", None)}
    # ASCII output: a lone surrogate from a strange file name must not raise here.
    return json.dumps({**head, **event}, default=str)


def _console_time(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event["timestamp"] = event.pop("time")
    return event


def _escape(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {key: _plain(value) for key, value in event.items()}


def _plain(value: object) -> object:
    if isinstance(value, str):
        return escape_controls(value)
    if isinstance(value, list | tuple):
        return ",".join(escape_controls(str(item)) for item in value)
    return value if isinstance(value, int | float | None) else escape_controls(str(value))
