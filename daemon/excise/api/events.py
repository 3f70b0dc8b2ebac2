"""The live feed: decisions, findings and alarms as server-sent events.

https://html.spec.whatwg.org/multipage/server-sent-events.html
A reader that does not keep up is cut off; it comes back with `Last-Event-ID`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated

import msgspec
from aiohttp import web

from excise.api.ask import Ask
from excise.api.control import Control
from excise.api.wire import to_event
from excise.errors import InvalidError
from excise.model.step import Effect

STREAMS_MOST = 32
_NAME = "(decision|finding|alarm)"


class Pace(msgspec.Struct, frozen=True):
    """How often, in seconds: heartbeats, and looks whether the reader left.

    And how long: until a reader that takes nothing is slow, and without an event until those
    kept are taken to be through.
    """

    heartbeat_s: float = 15.0
    look_s: float = 1.0
    slow_s: float = 10.0
    idle_s: float = 0.5


STREAMS: web.AppKey[set[asyncio.Task[object]]] = web.AppKey("streams")
PACE = web.AppKey("pace", Pace)


class EventsAsk(Ask, frozen=True):
    """`only`: names of events, separated by commas. `follow=false` ends after those kept."""

    only: Annotated[str, msgspec.Meta(pattern=f"^{_NAME}(,{_NAME})*$")] | None = None
    follow: bool = True


class _GoneError(Exception):
    """The reader left or was cut off."""


class _Reader:
    """One client of the feed. Writes from two tasks, so one at a time."""

    def __init__(self, request: web.Request, response: web.StreamResponse) -> None:
        self.request, self.response = request, response
        self.pace = request.app[PACE]
        self.turn = asyncio.Lock()

    async def write(self, chunk: bytes) -> None:
        """Send, or raise _GoneError if the reader does not take it in time."""
        transport = self.request.transport
        if not chunk:
            return
        try:
            async with self.turn, asyncio.timeout(self.pace.slow_s):
                await self.response.write(chunk)
        except TimeoutError:
            if transport is not None:
                transport.abort()
            raise _GoneError from None
        except ConnectionError:
            raise _GoneError from None

    async def beat(self) -> None:
        """Keep the connection warm; raise _GoneError once the reader has left."""
        quiet_s = 0.0
        while True:
            await asyncio.sleep(self.pace.look_s)
            quiet_s += self.pace.look_s
            transport = self.request.transport
            if transport is None or transport.is_closing():
                raise _GoneError
            if quiet_s >= self.pace.heartbeat_s:
                await self.write(b": still here\n\n")
                quiet_s = 0.0


async def stream_events(
    request: web.Request, control: Control, ask: EventsAsk
) -> web.StreamResponse:
    """Send events as they happen; first those kept after `Last-Event-ID`, if given."""
    streams, task = request.app[STREAMS], asyncio.current_task()
    if len(streams) >= STREAMS_MOST or task is None:
        raise web.HTTPServiceUnavailable(text=f"{STREAMS_MOST} event streams are open already")
    after = _last_event_id(request.headers.get("Last-Event-ID"), follow=ask.follow)
    end = None if ask.follow else control.last_serial
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
    )
    streams.add(task)
    try:
        await response.prepare(request)
        await _send(_Reader(request, response), control, after, end, ask.only)
    finally:
        streams.discard(task)
    return response


async def _send(
    reader: _Reader, control: Control, after: int | None, end: int | None, only: str | None
) -> None:
    names = only.split(",") if only else None
    try:
        async with asyncio.TaskGroup() as tasks:
            beat = tasks.create_task(reader.beat())
            await reader.write(b": excise\n\n")
            await _pump(reader, control.events(after), after or 0, end, names)
            beat.cancel()
    except* _GoneError:
        pass


async def _pump(
    reader: _Reader,
    stream: AsyncIterator[tuple[int, Effect]],
    last: int,
    end: int | None,
    only: list[str] | None,
) -> None:
    try:
        while end is None or last < end:
            async with asyncio.timeout(None if end is None else reader.pace.idle_s):
                last, effect = await anext(stream)
            await reader.write(_format(last, effect, only))
    except (StopAsyncIteration, TimeoutError):
        return
    finally:
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()


def _format(serial: int, effect: Effect, only: list[str] | None) -> bytes:
    name, data = to_event(effect)
    if only is not None and name not in only:
        return b""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (serial, name.encode(), msgspec.json.encode(data))


def _last_event_id(text: str | None, *, follow: bool) -> int | None:
    if text is None:
        return None if follow else 0
    if not text.isascii() or not text.isdecimal():
        raise InvalidError(f"Last-Event-ID {text!r} is not a serial number")
    return int(text)


async def end_streams(app: web.Application) -> None:
    """End every stream, so that stopping does not wait for readers."""
    streams = app[STREAMS]
    for task in tuple(streams):
        task.cancel()
