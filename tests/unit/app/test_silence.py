"""Inputs that hear nothing while clients talk."""

import asyncio
import socket

import pytest

from excise.daemon.silence import ENOUGH_BYTES, Hearing, Silence, grouped
from excise.model.record import Decoded, Record, Reject
from excise.sockdiag import received_bytes


class World:
    """A clock, a kernel that counts, and the alarms that were raised."""

    def __init__(self, *hearings):
        self.now, self.alarms, self.asked = 0.0, [], []
        self.connections = {b"a": 0}
        self.silence = Silence(
            groups=grouped(hearings),
            service_ports=lambda: (443,),
            received=self.received,
            clock=lambda: self.now,
            on_alarm=lambda code, text: self.alarms.append((code, text)),
        )

    def received(self, ports):
        self.asked.append(ports)
        if isinstance(self.connections, OSError):
            raise self.connections
        return self.connections

    def pass_by(self, seconds, *, sent=0):
        """Let time pass in steps of ten seconds; clients send so much in each."""

        async def looking():
            for _ in range(int(seconds / 10)):
                self.now += 10.0
                if sent:
                    self.connections = {k: n + sent for k, n in self.connections.items()}
                await self.silence.look()

        asyncio.run(looking())

    @property
    def codes(self):
        return [code for code, _ in self.alarms]


@pytest.fixture
def hearing():
    return Hearing("/var/log/a.log", quiet_after_s=300.0)


def test_silence_with_traffic_is_an_alarm_once_and_ends_with_the_next_line(hearing):
    world = World(hearing)
    world.pass_by(1000, sent=10_000)

    assert ["input-silent"] == world.codes
    assert "/var/log/a.log: no request heard of, though clients have sent" in world.alarms[0][1]
    assert "KiB to port 443 since" in world.alarms[0][1]
    assert hearing.silent
    hearing.note(world.now + 10.0)
    world.pass_by(10)
    assert ["input-silent", "input-recovered"] == world.codes
    assert "" == hearing.silent


def test_lines_that_are_no_requests_are_silence_and_the_alarm_says_why(hearing):
    """The gateway's log format was changed: lines keep coming, and each is rejected."""
    world = World(hearing)
    for _ in range(100):
        hearing.hear(world.now, Decoded([], [Reject("shape", b"a line")] * 3))
        world.pass_by(10, sent=10_000)

    assert ["input-silent"] == world.codes
    assert "lines came, none of them a request, the last was rejected as shape" in hearing.silent

    hearing.hear(world.now + 10.0, Decoded([Record(ts=1.0, client="192.0.2.7")], []))
    world.pass_by(10)
    assert ["input-silent", "input-recovered"] == world.codes


def test_a_request_among_rejected_lines_is_heard(hearing):
    world = World(hearing)
    for _ in range(100):
        one = [Record(ts=1.0, client="192.0.2.7")]
        hearing.hear(world.now, Decoded(one, [Reject("shape", b"a line")] * 3))
        world.pass_by(10, sent=10_000)

    assert [] == world.codes


def test_a_quiet_host_is_no_alarm(hearing):
    world = World(hearing)
    world.pass_by(10_000)

    assert [] == world.codes


def test_scans_and_handshakes_are_no_traffic(hearing):
    world = World(hearing)
    world.pass_by(10_000, sent=ENOUGH_BYTES / 2000)

    assert [] == world.codes


def test_an_answer_may_take_as_long_as_silence_is_allowed(hearing):
    world = World(hearing)
    world.pass_by(30)
    world.connections = {b"a": 500_000}  # one long prompt, and its answer takes its time
    world.pass_by(300)
    assert [] == world.codes
    hearing.note(world.now)
    world.pass_by(1000)

    assert [] == world.codes


def test_what_was_sent_before_the_silence_does_not_count(hearing):
    world = World(hearing)
    world.connections = {b"a": 10_000_000}
    world.pass_by(1000)

    assert [] == world.codes


def test_new_connections_count_from_their_first_byte(hearing):
    world = World(hearing)
    world.pass_by(30)
    for n in range(8):
        world.connections = {b"%d" % n: 10_000}
        world.pass_by(10)
    world.pass_by(300)

    assert ["input-silent"] == world.codes


def test_any_input_of_the_same_ports_explains_the_traffic(hearing):
    other = Hearing("/var/log/b.log", quiet_after_s=300.0)
    world = World(hearing, other)
    for _ in range(100):
        other.note(world.now)
        world.pass_by(10, sent=100_000)

    assert [] == world.codes
    world.pass_by(400, sent=100_000)
    assert ["input-silent"] * 2 == world.codes


def test_an_input_with_ports_of_its_own_is_judged_by_these():
    mine = Hearing("a", (8443,), 300.0)
    other = Hearing("b", (), None)
    world = World(mine, other)
    other.note(1e9)
    world.pass_by(400, sent=100_000)

    assert ["input-silent"] == world.codes
    assert {(8443,)} == set(world.asked)


def test_never_means_never():
    world = World(Hearing("a", quiet_after_s=None))
    world.pass_by(10_000, sent=100_000)

    assert [] == world.codes


def test_a_speaking_input_costs_no_question(hearing):
    world = World(hearing)
    for _ in range(10):
        hearing.note(world.now + 5.0)
        world.pass_by(10, sent=100_000)

    assert [] == world.asked


def test_a_kernel_that_does_not_tell_is_an_alarm_once(hearing):
    world = World(hearing)
    world.connections = OSError(1, "Operation not permitted")
    world.pass_by(1000)

    assert ["silence-unwatched"] == world.codes


def test_the_kernel_s_own_count_is_understood():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        world = World(Hearing("a", (port,), 300.0))
        world.silence.received = received_bytes
        with socket.create_connection(("127.0.0.1", port)) as client:
            inside, _ = server.accept()
            with inside:
                world.pass_by(20)
                client.sendall(b"x" * ENOUGH_BYTES)
                inside.recv(ENOUGH_BYTES, socket.MSG_WAITALL)
                world.pass_by(400)

    assert ["input-silent"] == world.codes
