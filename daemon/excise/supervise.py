"""Tasks that must not die: restarted with backoff, counted, reported. And the watchdog's proof.

The only place that catches every exception: a fault in one input or loop is a number and an
alarm, and the rest of the daemon goes on.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 30.0
#: a task that ran this long was well: its next failure starts at the first delay again
SOUND_RUN_S = 60.0

Sleep = Callable[[float], Awaitable[None]]
Monotonic = Callable[[], float]
#: told of every failure: the task's name, what it raised, failures so far
OnFailure = Callable[[str, Exception, int], None]


@dataclass(slots=True)
class Supervisor:
    """Runs jobs until they return or are cancelled; starts them again when they raise."""

    on_failure: OnFailure
    monotonic: Monotonic
    sleep: Sleep = asyncio.sleep
    failures: dict[str, int] = field(default_factory=dict)

    async def run(self, name: str, job: Callable[[], Awaitable[None]]) -> None:
        """Run `job` until it returns; restart it whenever it raises."""
        delay_s = FIRST_DELAY_S
        while True:
            started_s = self.monotonic()
            try:
                await job()
            except Exception as error:
                self.failures[name] = self.failures.get(name, 0) + 1
                self.on_failure(name, error, self.failures[name])
            else:
                return
            if self.monotonic() - started_s > SOUND_RUN_S:
                delay_s = FIRST_DELAY_S
            await self.sleep(delay_s)
            delay_s = min(2 * delay_s, LONGEST_DELAY_S)


@dataclass(slots=True)
class Progress:
    """When each loop last went round. A loop that stopped shows in `stuck`."""

    monotonic: Monotonic
    limit_s: float
    beats: dict[str, float] = field(default_factory=dict)

    def beat(self, name: str) -> None:
        """Say that the loop `name` went round."""
        self.beats[name] = self.monotonic()

    def forget(self, name: str) -> None:
        """Say that the loop `name` has ended on purpose."""
        self.beats.pop(name, None)

    def stuck(self) -> list[str]:
        """Return the loops that have not gone round for `limit_s` seconds."""
        oldest = self.monotonic() - self.limit_s
        return sorted(name for name, beat in self.beats.items() if beat < oldest)


def sd_notify(*lines: str) -> bool:
    """Send state lines such as `READY=1` to the service manager; False where there is none.

    The protocol of sd_notify(3): one datagram to the socket named by $NOTIFY_SOCKET, where a
    leading `@` stands for the abstract namespace.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            channel.sendto("\n".join(lines).encode(), address)
        except OSError:
            return False
    return True


def watchdog_interval_s() -> float | None:
    """Return how often to feed the watchdog: half of $WATCHDOG_USEC; None where it is off."""
    usec = os.environ.get("WATCHDOG_USEC", "")
    pid = os.environ.get("WATCHDOG_PID", "")
    if not usec.isdigit() or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 2e6
