"""A tap for model servers that log nothing: an ASGI middleware that writes a record per request.

    export EXCISE_RECORDS=/var/log/excise-tap/records.log
    vllm serve MODEL --middleware excise.gateways.asgi.Tap

Bytes go through as they come; what is wanted of them is noted beside. Reading, hashing and
writing happen in a thread of their own. No text is kept, no request waits, and nothing that goes
wrong here reaches the server (docs/gateways-vllm.md).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from excise.gateways.client import FORWARDED, Origin, origin, told
from excise.gateways.guard import Complaints, harmless
from excise.gateways.settings import TapSettings
from excise.gateways.tapped import APPLICATION, FAILED, Tapped
from excise.gateways.writer import Writer, make_writer

#: a body up to this size is read after the answer, so that it takes no time from it; a larger one
#: at once, so that it need not be kept
KEPT_BODY_BYTES = 65_536
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class Tap:
    """The middleware: `Tap(app)` is the app, tapped. Raises nothing of its own."""

    def __init__(
        self, app: App, settings: TapSettings | None = None, complaints: Complaints | None = None
    ) -> None:
        self._app = app
        self._complaints = complaints or Complaints()
        self._writer = make_writer(settings, self._complaints)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve a request, or anything else that a server calls an app for."""
        request = None
        if self._writer is not None and scope.get("type") == "http":
            request = harmless(self._complaints, None, self._begin, scope, self._writer)
        if request is None:
            await self._app(scope, receive, send)
            return
        try:
            await self._app(scope, request.receiving(receive), request.sending(send))
        except BaseException:
            harmless(self._complaints, None, request.failed)
            raise
        finally:
            harmless(self._complaints, None, request.end)

    def close(self) -> None:
        """Write what waits, and end the thread; for tests and orderly servers."""
        if self._writer is not None:
            self._writer.courier.close()

    def _begin(self, scope: Message, writer: Writer) -> _Request:
        return _Request(begin(scope, writer.settings), writer, self._complaints)


def begin(scope: Message, settings: TapSettings) -> Tapped:
    """Return what a request says before its body."""
    text: dict[str, str] = {}
    for raw_name, value in scope["headers"]:
        name, said = raw_name.decode("latin-1"), value.decode("utf-8", "replace")
        # Hops may come on several lines, which are one list; of other headers the first counts.
        if name == FORWARDED and name in text:
            text[name] += f",{said}"
        text.setdefault(name, said)
    peer = scope.get("client")
    came = origin((peer[0], peer[1]) if peer else None, text, settings)
    return Tapped(
        began=time.perf_counter(),
        origin=came,
        method=scope["method"],
        path=scope["path"],
        credential=text.get("authorization") or text.get("x-api-key", ""),
        gateway_told=told(text) if came.gateway else _seen(scope, came),
        max_body_bytes=settings.max_body_bytes,
        user_agent=text.get("user-agent", ""),
    )


def _seen(scope: Message, came: Origin) -> dict[str, object]:
    """Return what this server itself knows of a direct connection."""
    return {"tls": "none"} if came.client and scope.get("scheme") == "http" else {}


class _Request:
    """A request on its way, between server and app."""

    def __init__(self, tapped: Tapped, writer: Writer, complaints: Complaints) -> None:
        self._tapped, self._writer, self._complaints = tapped, writer, complaints
        self._ended = False

    def receiving(self, receive: Receive) -> Receive:
        async def tapped_receive() -> Message:
            message = await receive()
            harmless(self._complaints, None, self._received, message)
            return message

        return tapped_receive

    def sending(self, send: Send) -> Send:
        async def tapped_send(message: Message) -> None:
            await send(harmless(self._complaints, message, self._sent, message))
            if message.get("type") == "http.response.body" and not message.get("more_body"):
                harmless(self._complaints, None, self.end)

        return tapped_send

    def _received(self, message: Message) -> None:
        if message.get("type") == "http.disconnect":
            self.end()  # what the app goes on to say reaches nobody
        if message.get("type") != "http.request" or self._tapped.whole:
            return
        self._tapped.take_body(message.get("body", b""))
        if not message.get("more_body"):
            self._tapped.whole = True
            if self._tapped.bytes_in > KEPT_BODY_BYTES:
                self._read_body()

    def _read_body(self) -> None:
        """Have the body read by the courier, which then lets go of it."""
        size, keyed = self._tapped.held_bytes, self._writer.keyed
        read = self._tapped.body()
        self._writer.courier.put(lambda: read(keyed), size)

    def _sent(self, message: Message) -> Message:
        tapped = self._tapped
        kind = message["type"]
        if kind == "http.response.body":
            if (body := message.get("body")) and not self._ended:
                tapped.first = tapped.first or time.perf_counter()
                tapped.answer.add(body)
        elif kind == "http.response.start":
            tapped.status = message["status"]
            return self._hidden(message)
        return message

    def _hidden(self, message: Message) -> Message:
        """Return the start of a response without what the application told us alone."""
        kept = []
        for name, value in message.get("headers", ()):
            key = name.lower().decode("latin-1")
            if key in APPLICATION:
                self._tapped.application_told[APPLICATION[key]] = value.decode("utf-8", "replace")
                continue
            if key == "content-encoding":
                self._tapped.readable = False
            kept.append((name, value))
        return {**message, "headers": kept}

    def failed(self) -> None:
        """Note that the app raised; what was sent stays sent."""
        if self._tapped.status < 0:
            self._tapped.status = FAILED

    def end(self) -> None:
        """Have the record written, once."""
        if self._ended:
            return
        self._ended = True
        if not self._tapped.origin.client:
            self._complaints.add("a request without a client's address is not recorded")
            return
        ts, tapped, keyed = time.time(), self._tapped, self._writer.keyed
        duration = time.perf_counter() - tapped.began
        if tapped.whole and tapped.held_bytes:
            self._read_body()
        self._writer.courier.put(lambda: tapped.line(ts, duration, keyed))
