"""The demo's model as an ASGI application that carries the tap, as vLLM would; run by uvicorn.

Run as `python -m demo.tapped --port 8000 --tokens-per-s 400`, with the tap's environment set.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

import uvicorn

from demo.stub import FLUSH_S, JSON_SPEEDUP, document_of, last_events, token_event
from excise.gateways.asgi import Tap


class Model:
    """Answers like `demo.stub`; all streams run at `tokens_per_s` each."""

    def __init__(self, tokens_per_s: float) -> None:
        self.tokens_per_s = tokens_per_s
        self.token = token_event()

    async def __call__(self, _: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        asked: dict[str, Any] = json.loads(body)
        tokens = max(int(asked.get("max_tokens") or 16), 1)
        answer = self.stream if asked.get("stream") else self.document
        answering = asyncio.ensure_future(answer(send, asked, tokens))
        gone = asyncio.ensure_future(receive())  # nothing comes but that the client went away
        await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
        for task in (answering, gone):
            task.cancel()
        await asyncio.gather(answering, gone, return_exceptions=True)

    @staticmethod
    async def start(send: Any, kind: bytes) -> None:
        headers = [(b"content-type", kind)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def stream(self, send: Any, asked: dict[str, Any], tokens: int) -> None:
        await self.start(send, b"text/event-stream")
        loop = asyncio.get_running_loop()
        begin, sent = loop.time(), 0
        while sent < tokens:
            await asyncio.sleep(FLUSH_S)
            due = min(int((loop.time() - begin) * self.tokens_per_s) + 1, tokens)
            if due > sent:
                piece = self.token * (due - sent)
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            sent = max(due, sent)
        await send({"type": "http.response.body", "body": last_events(asked, sent)})

    async def document(self, send: Any, asked: dict[str, Any], tokens: int) -> None:
        await asyncio.sleep(tokens / (self.tokens_per_s * JSON_SPEEDUP))
        await self.start(send, b"application/json")
        await send({"type": "http.response.body", "body": document_of(asked, tokens)})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tokens-per-s", type=float, default=400.0)
    args = parser.parse_args()
    app = Tap(Model(args.tokens_per_s))
    uvicorn.run(app, host="127.0.0.1", port=args.port, lifespan="off", log_level="warning",
                access_log=False, timeout_keep_alive=120)  # fmt: skip


if __name__ == "__main__":
    main()
