"""A model server for the benches: `python -m tests.bench.backend PORT`.

`GET /tokens/<tokens a second>` streams tokens as server-sent events until the client is gone, and
tells when the last one was written and when the end was noticed. `POST /sink/<name>` swallows
its body, and tells ten times a second how many bytes came under each name.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time

from demo.stub import chunk, header, token_event

TELL_S = 0.1
GONE = (ConnectionError, asyncio.IncompleteReadError)
EVENT_BYTES = len(token_event())
sunk: dict[str, int] = {}


def tell(**what: object) -> None:
    print(json.dumps({"ts": time.time(), **what}), flush=True)


async def tokens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rate: float) -> None:
    writer.write(header("200 OK", "text/event-stream", None))
    event, last, sent = chunk(token_event()), 0.0, 0
    hung_up = asyncio.ensure_future(reader.read(1))
    begun = time.monotonic()
    try:
        while not hung_up.done():
            writer.write(event)
            last, sent = time.time(), sent + 1
            await writer.drain()
            pause_s = max(0.0, begun + sent / rate - time.monotonic())
            await asyncio.wait([hung_up], timeout=pause_s)
    finally:
        hung_up.cancel()
        tell(ended=time.time(), last=last, sent=sent)
    raise ConnectionResetError


async def sink(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str, length: int | None
) -> None:
    left = length
    while left is None or left > 0:
        data = await reader.read(1 << 16 if left is None else min(left, 1 << 16))
        if not data:
            raise ConnectionResetError
        sunk[name] = sunk.get(name, 0) + len(data)
        left = None if left is None else left - len(data)
    writer.write(header("200 OK", "text/plain", 0))
    await writer.drain()


async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(*GONE):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
            _, kind, what = head[0].split()[1].split("/")
            if kind == "tokens":
                await tokens(reader, writer, float(what))
            sizes = [int(x.split(":")[1]) for x in head if x.startswith("content-length:")]
            await sink(reader, writer, what, sizes[0] if sizes else None)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def serve(port: int) -> None:
    async with await asyncio.start_server(handle, "127.0.0.1", port):
        while True:
            await asyncio.sleep(TELL_S)
            if sunk:
                tell(sunk=sunk)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
