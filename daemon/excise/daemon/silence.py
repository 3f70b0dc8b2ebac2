"""Inputs that hear of no request while clients talk to the service: something is wrong on the way.

A log that is written elsewhere since yesterday looks like a quiet host, and so does one whose
format is another since then: each of its lines is rejected. The kernel knows better: it counts
what clients send to the service's ports. Silence with traffic is an alarm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from excise.model.duration import format_duration
from excise.model.record import Decoded

SILENT = "silent"
LOOK_S = 10.0
#: what clients have to send meanwhile: some requests, and more than handshakes, port scans, and
#: the acknowledgements of one long answer over HTTP/2 (13 bytes and a TLS record each)
ENOUGH_BYTES = 65_536

Beat = Callable[[], None]
Received = Callable[[Iterable[int]], Mapping[bytes, int]]
OnAlarm = Callable[[str, str], None]


@dataclass(slots=True)
class Hearing:
    """One configured input, however many files it is; `silent` says why it is thought blind.

    `quiet_after_s` None: silence is never held against it. `ports` are those whose traffic it
    should tell of, where they are not the service's. `rejected` lines came since the last
    request, the newest for this `reason`.
    """

    name: str = ""
    ports: tuple[int, ...] = ()
    quiet_after_s: float | None = None
    last_s: float = 0.0
    silent: str = ""
    rejected: int = 0
    reason: str = ""

    def note(self, now_s: float) -> None:
        """Note that a request was heard of."""
        self.last_s = now_s
        self.rejected = 0

    def hear(self, now_s: float, decoded: Decoded) -> None:
        """Note what came of some lines: those of which none is a request tell nothing."""
        if decoded.records:
            self.note(now_s)
        elif decoded.rejects:
            self.rejected += len(decoded.rejects)
            self.reason = decoded.rejects[-1].reason

    def doubt(self) -> str:
        """Return what to look at where nothing is heard."""
        if not self.rejected:
            return "does the gateway still log here?"
        return (
            f"{self.rejected} lines came, none of them a request, the last was rejected as"
            f" {self.reason}: is `format` right? `excise doctor` tries it"
        )


@dataclass(slots=True)
class Group:
    """The inputs that tell of the same ports: any of them explains the traffic there.

    No ports are the service's, whatever these are at the time.
    """

    ports: tuple[int, ...]
    hearings: Sequence[Hearing]
    silent_since_s: float = 0.0
    seen: dict[bytes, int] | None = None
    sent_bytes: int = 0
    enough_s: float | None = None

    @property
    def last_s(self) -> float:
        """When any of them last heard anything."""
        return max(hearing.last_s for hearing in self.hearings)

    def add(self, received: Mapping[bytes, int], now_s: float) -> None:
        """Add what clients sent since the last look; the first look only sets the mark."""
        if self.seen is not None:
            before = self.seen
            self.sent_bytes += sum(n - before.get(key, 0) for key, n in received.items())
        self.seen = dict(received)
        if self.sent_bytes >= ENOUGH_BYTES:
            self.enough_s = now_s

    def forget(self) -> None:
        """Begin anew: something was heard."""
        self.silent_since_s = self.last_s
        self.seen, self.sent_bytes, self.enough_s = None, 0, None


@dataclass(slots=True)
class Silence:
    """Looks at the groups every ten seconds; asks the kernel only while one is silent.

    An answer may take long, and its line comes at its end: so the silence counts from when
    enough was sent.
    """

    groups: Sequence[Group]
    service_ports: Callable[[], tuple[int, ...]]
    received: Received
    clock: Callable[[], float]
    on_alarm: OnAlarm
    executor: Executor | None = None
    problem: str = ""

    async def look(self) -> None:
        """Look once."""
        for group in self.groups:
            if group.last_s > group.silent_since_s:
                self._heard(group)
            elif group.enough_s is None:
                await self._ask(group)
            else:
                self._judge(group, self.clock() - group.enough_s)

    def silent(self) -> list[Hearing]:
        """Return the inputs that are thought blind."""
        return [one for group in self.groups for one in group.hearings if one.silent]

    async def run(self, beat: Beat) -> None:
        """Look for ever."""
        while True:
            beat()
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def _ask(self, group: Group) -> None:
        loop = asyncio.get_running_loop()
        try:
            ports = group.ports or self.service_ports()
            received = await loop.run_in_executor(self.executor, self.received, ports)
            group.add(received, self.clock())
        except OSError as error:
            if not self.problem:
                text = f"traffic on the service's ports cannot be seen: {error}"
                self.on_alarm("silence-unwatched", f"{text}; a silent log goes unnoticed")
            self.problem = str(error)

    def _heard(self, group: Group) -> None:
        group.forget()
        for hearing in group.hearings:
            if hearing.silent:
                self.on_alarm("input-recovered", f"{hearing.name} is heard again")
                hearing.silent = ""

    def _judge(self, group: Group, since_s: float) -> None:
        for hearing in group.hearings:
            after_s = hearing.quiet_after_s
            if hearing.silent or after_s is None or since_s < after_s:
                continue
            ports = ", ".join(map(str, group.ports or self.service_ports()))
            hearing.silent = (
                f"no request heard of, though clients have sent {group.sent_bytes // 1024} KiB to"
                f" port {ports} since, and {format_duration(since_s)} have passed;"
                f" {hearing.doubt()}"
            )
            self.on_alarm("input-silent", f"{hearing.name}: {hearing.silent}")


def grouped(hearings: Iterable[Hearing]) -> list[Group]:
    """Return the inputs by the ports that they tell of, where silence is held against any."""
    groups: dict[tuple[int, ...], list[Hearing]] = {}
    for hearing in hearings:
        groups.setdefault(tuple(sorted(hearing.ports)), []).append(hearing)
    return [
        Group(ports, members)
        for ports, members in groups.items()
        if any(hearing.quiet_after_s is not None for hearing in members)
    ]
