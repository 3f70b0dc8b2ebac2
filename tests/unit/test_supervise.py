import asyncio
import os
import socket

import pytest

from excise.supervise import (
    LONGEST_DELAY_S,
    SOUND_RUN_S,
    Progress,
    Supervisor,
    sd_notify,
    watchdog_interval_s,
)


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self):
        self.now_s = 0.0
        self.slept = []

    def monotonic(self):
        return self.now_s

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now_s += seconds


def run(failures, run_for_s=0.0):
    """Run a job that fails so many times; return the clock, the supervisor and what it said."""
    clock, said, left = Clock(), [], [failures]
    supervisor = Supervisor(
        on_failure=lambda name, error, count: said.append((name, str(error), count)),
        monotonic=clock.monotonic,
        sleep=clock.sleep,
    )

    async def job():
        clock.now_s += run_for_s
        if left[0]:
            left[0] -= 1
            raise ValueError("broken")

    asyncio.run(supervisor.run("reader", job))
    return clock, supervisor, said


def test_a_job_that_raises_is_started_again_and_counted():
    _, supervisor, said = run(failures=2)

    assert supervisor.failures == {"reader": 2}
    assert said == [("reader", "broken", 1), ("reader", "broken", 2)]


def test_delays_double_up_to_a_bound():
    clock, _, _ = run(failures=12)

    assert clock.slept[:4] == [0.1, 0.2, 0.4, 0.8]
    assert clock.slept[-1] == LONGEST_DELAY_S


def test_a_job_that_ran_soundly_starts_again_at_the_first_delay():
    clock, _, _ = run(failures=5, run_for_s=SOUND_RUN_S + 1)

    assert clock.slept == [0.1] * 5


def test_cancelling_is_no_failure():
    async def story():
        supervisor = Supervisor(on_failure=lambda *_: None, monotonic=lambda: 0.0)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(supervisor.run("reader", asyncio.Event().wait))
            await asyncio.sleep(0)
            task.cancel()
        return supervisor.failures

    assert asyncio.run(story()) == {}


def test_a_loop_that_stopped_is_named():
    clock = Clock()
    progress = Progress(clock.monotonic, limit_s=10.0)
    progress.beat("reconcile")
    progress.beat("input")
    clock.now_s = 8.0
    progress.beat("input")
    clock.now_s = 15.0

    assert progress.stuck() == ["reconcile"]

    progress.forget("reconcile")
    assert progress.stuck() == []


@pytest.mark.parametrize("abstract", [False, True])
def test_the_service_manager_is_told(tmp_path, monkeypatch, abstract):
    name = f"@excise-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        monkeypatch.setenv("NOTIFY_SOCKET", name)

        assert sd_notify("READY=1", "STATUS=reading")
        assert manager.recv(100) == b"READY=1\nSTATUS=reading"


def test_without_a_service_manager_nothing_is_sent(monkeypatch, tmp_path):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not sd_notify("READY=1")

    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert not sd_notify("READY=1")


@pytest.mark.parametrize(
    ("usec", "pid", "expected"),
    [
        ("30000000", "", 15.0),
        ("30000000", "own", 15.0),
        ("30000000", "1", None),
        ("", "", None),
        ("soon", "", None),
    ],
)
def test_the_watchdog_is_fed_twice_an_interval_if_it_is_ours(monkeypatch, usec, pid, expected):
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "own" else pid)

    assert watchdog_interval_s() == expected
