"""Work that nobody waits for."""

import os
import signal
import threading

import pytest

from excise.gateways import courier as module
from excise.gateways.courier import Courier
from excise.gateways.outlet import LostError


class List:
    """An outlet that keeps what it gets."""

    def __init__(self):
        self.lines = []

    def write(self, line):
        if line == b"lost":
            raise LostError("a reason")
        self.lines.append(line)

    def close(self):
        self.lines.append(b"closed")


@pytest.fixture
def outlet():
    return List()


def name_of_thread():
    return threading.current_thread().name.encode()


def test_tasks_are_done_in_their_order_in_another_thread(outlet, heard):
    one = Courier(outlet, heard.complaints)
    for line in (b"a", b"b"):
        one.put(lambda line=line: line)
    one.put(name_of_thread)
    one.close()
    assert [b"a", b"b", b"excise", b"closed"] == outlet.lines


def test_a_task_may_have_nothing_to_say(outlet, heard):
    one = Courier(outlet, heard.complaints)
    one.put(lambda: None)
    one.close()
    assert ([b"closed"], []) == (outlet.lines, heard.texts)


def test_what_fails_or_is_lost_is_told_and_does_not_stop_the_rest(outlet, heard):
    one = Courier(outlet, heard.complaints)
    one.put(lambda: 1 / 0)
    one.put(lambda: b"lost")
    one.put(lambda: b"kept")
    one.close()
    assert [b"kept", b"closed"] == outlet.lines
    assert any("ZeroDivisionError" in text for text in heard.texts)
    assert any("a record was lost: a reason" in text for text in heard.texts)


def test_what_waits_is_bounded_and_the_rest_is_refused_at_once(outlet, heard, monkeypatch):
    monkeypatch.setattr(module, "MOST_TASKS", 3)
    release = threading.Event()
    one = Courier(outlet, heard.complaints)
    taken = [one.put(lambda: release.wait(10) and None) for _ in range(5)]
    release.set()
    one.close()
    assert [True, True, True, False, False] == taken
    assert any("too much waits" in text for text in heard.texts)


def test_the_bytes_that_wait_are_bounded(outlet, heard):
    one = Courier(outlet, heard.complaints)
    assert not one.put(lambda: b"x", module.MOST_BYTES + 1)
    one.close()


def test_a_forked_worker_has_a_thread_of_its_own(tmp_path, heard):
    from excise.gateways.outlet import FileOutlet

    one = Courier(FileOutlet(tmp_path / "log"), heard.complaints)
    one.put(lambda: b"parent\n")
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        one.put(lambda: b"child\n")
        one.close()
        os.write(write, b".")
        os._exit(0)
    os.close(write)
    assert b"." == os.read(read, 1)
    os.close(read)
    os.waitpid(pid, 0)
    one.close()
    assert {b"parent", b"child"} == set((tmp_path / "log").read_bytes().split())
