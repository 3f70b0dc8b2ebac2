"""What the tap costs a streaming request: the same server with and without, request by request.

A uvicorn in a process of its own serves one application bare and behind taps that write to a
file, to a socket whose queue is full, and to a socket that is not there. One client asks them in
turn, in an order that changes from round to round; differences are taken within a round, so that
what else the machine does falls on all alike.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import random
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from ipaddress import ip_network
from pathlib import Path

ROUNDS = 400
WARM_UP = 40
EVENTS = 200
#: between requests, so that none pays for the record of the one before
PAUSE_S = 0.003
KINDS = ("bare", "file", "full socket", "no socket")
PROMPT = " ".join(f"word{n}" for n in range(1500))
BODY = json.dumps(
    {
        "model": "stub-70b",
        "stream": True,
        "max_tokens": EVENTS,
        "messages": [
            {"role": "system", "content": "You are a bench."},
            {"role": "user", "content": PROMPT},
        ],
    }
).encode()
TOKEN = b'data: {"id":"x","choices":[{"index":0,"delta":{"content":" token"}}]}\n\n'
LAST = b'data: {"choices":[],"usage":{"prompt_tokens":2000,"completion_tokens":200}}\n\n'


async def application(scope, receive, send):
    """Read the request, then send as many events as it asked for, one by one."""
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(EVENTS):
        await send({"type": "http.response.body", "body": TOKEN, "more_body": True})
    await send({"type": "http.response.body", "body": LAST})


def serve(directory: Path) -> None:
    """Serve every kind under its place in KINDS; print the port."""
    import uvicorn

    apps = [
        application,
        make_tap(directory, "records.log", is_socket=False),
        make_tap(directory, "full.sock", is_socket=True),
        make_tap(directory, "missing.sock", is_socket=True),
    ]

    async def choose(scope, receive, send):
        await apps[int(scope["path"].strip("/"))](scope, receive, send)

    async def main():
        config = uvicorn.Config(choose, port=0, log_level="critical", lifespan="off")
        server = uvicorn.Server(config)
        task = asyncio.ensure_future(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        print(server.servers[0].sockets[0].getsockname()[1], flush=True)
        await task

    asyncio.run(main())


def ask(connection: http.client.HTTPConnection, kind: int) -> tuple[float, float]:
    """Return seconds to the first byte of the answer, and to its last."""
    headers = {"Authorization": "Bearer sk-bench", "X-Forwarded-For": "203.0.113.7"}
    begin = time.perf_counter()
    connection.request("POST", f"/{kind}", BODY, headers)
    response = connection.getresponse()
    response.read(1)
    first = time.perf_counter() - begin
    response.read()
    return first, time.perf_counter() - begin


def measure(port: int) -> list[list[tuple[float, float]]]:
    """Return rounds of what each kind took."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    rng = random.Random(1)
    rounds = []
    for at in range(WARM_UP + ROUNDS):
        took = [(0.0, 0.0)] * len(KINDS)
        for kind in rng.sample(range(len(KINDS)), len(KINDS)):
            took[kind] = ask(connection, kind)
            time.sleep(PAUSE_S)
        if at >= WARM_UP:
            rounds.append(took)
    connection.close()
    return rounds


def report(rounds: list[list[tuple[float, float]]]) -> None:
    """Print medians, and what each kind added to the bare application in the same round."""
    print(f"{ROUNDS} rounds, {EVENTS} events an answer, {len(BODY):,} bytes a request")
    print(f"{'':12} {'first byte':>11} {'whole':>9}   added to the whole: median, quartiles")
    for kind, name in enumerate(KINDS):
        first = statistics.median(r[kind][0] for r in rounds) * 1000
        whole = statistics.median(r[kind][1] for r in rounds) * 1000
        line = f"{name:12} {first:8.3f} ms {whole:6.3f} ms"
        if kind:
            added = statistics.quantiles([(r[kind][1] - r[0][1]) * 1000 for r in rounds], n=4)
            line += f"   {added[1]:+.3f} ms ({added[0]:+.3f} to {added[2]:+.3f})"
        print(line)


def loop_time(app) -> float:
    """Return the median seconds of CPU that one request costs the thread of the server's loop."""
    scope = {
        "type": "http", "method": "POST", "path": "/v1/chat/completions", "scheme": "http",
        "client": ("203.0.113.7", 4711), "headers": [(b"authorization", b"Bearer sk-bench")],
    }  # fmt: skip

    async def receive():
        return {"type": "http.request", "body": BODY}

    async def send(_):
        pass

    async def measured():
        took = []
        for _ in range(WARM_UP + ROUNDS):
            begin = time.thread_time()
            await app(scope, receive, send)
            took.append(time.thread_time() - begin)
        return statistics.median(took[WARM_UP:])

    return asyncio.run(measured())


def report_loop(directory: Path) -> None:
    """Print what the tap costs the loop's thread, by CPU time: other work does not count there."""
    tap = make_tap(directory, "loop.log", is_socket=False)
    loop, whole = time.thread_time(), time.process_time()
    pairs = [(loop_time(application), loop_time(tap)) for _ in range(5)]
    requests = len(pairs) * (WARM_UP + ROUNDS)
    wait_for_lines(directory / "loop.log", requests)
    beside = (time.process_time() - whole) - (time.thread_time() - loop)
    tap.close()
    added = statistics.median(b - a for a, b in pairs) * 1e6
    print(
        f"CPU: {added:.0f} µs a request on the loop ({added / EVENTS:.2f} µs an event),"
        f" {beside / requests * 1e6:.0f} µs beside it"
    )


def make_tap(directory: Path, name: str, *, is_socket: bool):
    """Return the application behind a tap."""
    from excise.gateways.asgi import Tap
    from excise.gateways.settings import LOOPBACK, TapSettings

    trusted = tuple(map(ip_network, LOOPBACK))
    settings = TapSettings(directory / name, is_socket, directory / "key", trusted)
    return Tap(application, settings)


def main() -> int:
    """Print what the tap adds."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="excise-tap-")))
        (directory / "key").write_text("a key of the bench")
        fill(stack, directory / "full.sock")
        argv = [sys.executable, "-m", "tests.bench.tap", str(directory)]
        server = subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        stack.callback(server.wait)
        stack.callback(os.kill, server.pid, signal.SIGTERM)
        assert server.stdout is not None
        ready, _, _ = select.select([server.stdout], [], [], 30)
        if not ready:
            print("the server did not come up", file=sys.stderr)
            return 1
        report(measure(int(server.stdout.readline())))
        report_loop(directory)
        lines = wait_for_lines(directory / "records.log", WARM_UP + ROUNDS)
        print(f"records in the file: {lines} of {WARM_UP + ROUNDS}")
        return 0 if lines == WARM_UP + ROUNDS else 1


def wait_for_lines(path: Path, count: int) -> int:
    """Return how many lines there are, once there are so many or ten seconds have passed."""
    deadline = time.monotonic() + 10
    while (lines := path.read_bytes().count(b"\n")) < count and time.monotonic() < deadline:
        time.sleep(0.05)
    return lines


def fill(stack: contextlib.ExitStack, path: Path) -> None:
    """Leave a socket with a full queue, whose reader reads nothing."""
    reader = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    reader.bind(str(path))
    writer = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    writer.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            writer.sendto(b"x", str(path))


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
