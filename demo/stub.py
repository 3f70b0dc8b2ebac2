"""A model server of OpenAI's shape that costs nothing: it streams as many tokens as asked for.

Run as `python -m demo.stub --port 8000 --tokens-per-s 400`. It answers POST /v1/chat/completions,
as server-sent events for `"stream": true` and as one JSON document otherwise, with usage.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
from typing import Any

FLUSH_S = 0.05  # a batch of tokens per wake-up: real servers batch too, and Python stays idle
JSON_SPEEDUP = 10  # a non-streaming tenant gets short answers from a batch engine
MODEL = "stub-70b"
WORD = " token"


def completion_head(stream: bool) -> dict[str, Any]:
    kind = "chat.completion.chunk" if stream else "chat.completion"
    return {"id": "chatcmpl-0123456789abcdef", "object": kind, "created": 1, "model": MODEL}


def prompt_tokens(body: dict[str, Any]) -> int:
    """Four characters a token, as the rule of thumb goes."""
    return sum(len(str(m.get("content", ""))) for m in body.get("messages", [])) // 4


def usage(body: dict[str, Any], generated: int) -> dict[str, int]:
    asked = prompt_tokens(body)
    return {
        "prompt_tokens": asked,
        "completion_tokens": generated,
        "total_tokens": asked + generated,
    }


def token_event() -> bytes:
    choice = {"index": 0, "delta": {"content": WORD}, "finish_reason": None}
    return event(completion_head(stream=True) | {"choices": [choice]})


def last_events(body: dict[str, Any], generated: int) -> bytes:
    end = completion_head(stream=True) | {"choices": [], "usage": usage(body, generated)}
    return event(end) + b"data: [DONE]\n\n"


def document_of(body: dict[str, Any], tokens: int) -> bytes:
    message = {"role": "assistant", "content": WORD * tokens}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    value = completion_head(stream=False) | {"choices": [choice], "usage": usage(body, tokens)}
    return json.dumps(value).encode()


def event(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def chunk(data: bytes) -> bytes:
    """One chunk of RFC 9112 section 7.1; an empty one ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def header(status: str, kind: str, length: int | None) -> bytes:
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{framing}\r\n\r\n".encode()


class Stub:
    """Serves connections; all streams run at `tokens_per_s` each."""

    def __init__(self, tokens_per_s: float) -> None:
        self.tokens_per_s = tokens_per_s
        self.token = token_event()

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while body := await self.request(reader):
                tokens = max(int(body.get("max_tokens") or 16), 1)
                answer = self.stream if body.get("stream") else self.document
                await answer(writer, body, tokens)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away: what a server sees every day
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def request(self, reader: asyncio.StreamReader) -> dict[str, Any]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = next(
            (int(x.split(":")[1]) for x in head.split("\r\n") if x.startswith("content-length:")), 0
        )
        body: dict[str, Any] = json.loads(await reader.readexactly(length))
        return body

    async def stream(self, writer: asyncio.StreamWriter, body: dict[str, Any], tokens: int) -> None:
        writer.write(header("200 OK", "text/event-stream", None))
        loop = asyncio.get_running_loop()
        start, sent = loop.time(), 0
        while sent < tokens:
            await asyncio.sleep(FLUSH_S)
            due = min(int((loop.time() - start) * self.tokens_per_s) + 1, tokens)
            if due > sent:
                writer.write(chunk(self.token * (due - sent)))
                await writer.drain()
            sent = max(due, sent)
        writer.write(chunk(last_events(body, sent)) + chunk(b""))
        await writer.drain()

    async def document(
        self, writer: asyncio.StreamWriter, body: dict[str, Any], tokens: int
    ) -> None:
        await asyncio.sleep(tokens / (self.tokens_per_s * JSON_SPEEDUP))
        data = document_of(body, tokens)
        writer.write(header("200 OK", "application/json", len(data)) + data)
        await writer.drain()


async def serve(port: int, tokens_per_s: float) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = await asyncio.start_server(Stub(tokens_per_s).connection, "127.0.0.1", port)
    await stop.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tokens-per-s", type=float, default=400.0)
    args = parser.parse_args()
    asyncio.run(serve(args.port, args.tokens_per_s))


if __name__ == "__main__":
    main()
