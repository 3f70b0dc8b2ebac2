"""The clients of some shapes, as one process: `python -m demo.clients --shape person …`.

Once a second it prints one JSON line per client address: what was done since the last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import ssl
import sys
import time
from collections.abc import Coroutine
from dataclasses import asdict, dataclass, field

from demo.shapes import ALL, Conversation, Shape
from demo.wire import GONE, Connection, request_bytes

REPORT_S = 1.0
RETRY_S = 0.5


@dataclass
class Tally:
    """What one address did since the last report; latencies in seconds, of whole requests."""

    done: int = 0
    failed: int = 0
    bytes: int = 0
    latencies_s: list[float] = field(default_factory=list)


class Crowd:
    """All workers of the shapes given, against one server."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, shapes: list[Shape]) -> None:
        self.host, self.port, self.context, self.shapes = host, port, context, shapes
        self.tallies = self.blank()

    def blank(self) -> dict[tuple[str, str], Tally]:
        return {(shape.name, a): Tally() for shape in self.shapes for a in shape.addresses}

    async def work(self, shape: Shape, place: int, worker: int) -> None:
        """One worker of a shape at its address number `place`, for ever."""
        address = shape.addresses[place]
        talk = Conversation(shape, f"{address}/{worker}")
        connection = Connection(self.host, self.port, address, self.context)
        turn = 0
        await asyncio.sleep(talk.between(shape.pause_s))
        while True:
            account = shape.account(place, worker, turn)
            request = request_bytes(self.host, account, shape.user_agent, talk.next())
            await self.ask(connection, (shape.name, address), request)
            await asyncio.sleep(talk.between(shape.pause_s))
            turn += 1

    async def ask(self, connection: Connection, who: tuple[str, str], request: bytes) -> None:
        def arrived(size: int) -> None:
            self.tallies[who].bytes += size  # of this second: a report takes the tallies away

        start = time.monotonic()
        try:
            status = await connection.ask(request, arrived)
        except GONE:
            self.tallies[who].failed += 1
            await asyncio.sleep(RETRY_S)
            return
        tally = self.tallies[who]
        if status == 200:
            tally.done += 1
            tally.latencies_s.append(round(time.monotonic() - start, 4))
        else:
            tally.failed += 1

    async def report(self) -> None:
        """Print what everybody did in each second; of the silent, that they were silent."""
        next_s = time.monotonic()
        while True:
            next_s += REPORT_S
            await asyncio.sleep(next_s - time.monotonic())
            taken, self.tallies = self.tallies, self.blank()
            ts = time.time()
            for (name, address), tally in taken.items():
                print(json.dumps({"ts": ts, "name": name, "address": address, **asdict(tally)}))
            sys.stdout.flush()

    def workers(self) -> list[Coroutine[None, None, None]]:
        return [
            self.work(shape, place, worker)
            for shape in self.shapes
            for place in range(len(shape.addresses))
            for worker in range(shape.parallel)
        ]


async def run(crowd: Crowd, for_s: float) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    tasks = [asyncio.create_task(w) for w in (crowd.report(), *crowd.workers())]
    waiting = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([waiting, *tasks], timeout=for_s, return_when="FIRST_COMPLETED")
    for task in [waiting, *tasks]:
        task.cancel()
    for task in done - {waiting}:
        task.result()  # a worker ends by a fault only: show it


def main() -> None:
    names = {shape.name: shape for shape in ALL}
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--shape", action="append", choices=sorted(names), required=True)
    parser.add_argument("--for-s", type=float, default=3600.0)
    args = parser.parse_args()
    context = ssl.create_default_context(cafile=args.certificate)
    context.set_alpn_protocols(["http/1.1"])
    shapes = [names[name] for name in args.shape]
    asyncio.run(run(Crowd(args.server, args.port, context, shapes), args.for_s))


if __name__ == "__main__":
    main()
