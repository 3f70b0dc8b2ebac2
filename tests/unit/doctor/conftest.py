"""Hosts and samples that are made up."""

import os
from collections import Counter

import pytest

from excise.doctor.listening import Listener
from excise.doctor.programs import NGINX, VLLM
from excise.doctor.sample import Sample
from excise.doctor.survey import Running, Survey
from excise.model.record import Record

START = 1_767_571_200.0


@pytest.fixture
def record():
    """Make a record of the n-th request, a second after the one before."""

    def make(n=0, **fields):
        return Record(**({"ts": START + n, "client": "203.0.113.7"} | fields))

    return make


@pytest.fixture
def sample():
    """Make a sample of records."""

    def make(records=(), name="/var/log/nginx/excise.log", form="record", **changes):
        fields = {
            "configured": form,
            "formats": (form,) if records else (),
            "lines": len(records),
            "records": tuple(records),
            "rejects": Counter(),
            "files": 1,
        }
        return Sample(name, **(fields | changes))

    return make


@pytest.fixture
def host():
    """nginx on 80 and 443 in front of a vLLM, which listens on the address given."""

    def make(model_address="127.0.0.1", logs=()):
        front = (Listener("0.0.0.0", 80), Listener("0.0.0.0", 443))
        model = (Listener(model_address, 8000),)
        running = (Running(NGINX, front, tuple(logs)), Running(VLLM, model))
        return Survey((*front, *model), running)

    return make


@pytest.fixture
def proc(tmp_path):
    """A /proc: sockets by (hex address:port, state, inode), processes by what they are."""

    class Proc:
        path = tmp_path / "proc"

        def __init__(self):
            (self.path / "self" / "net").mkdir(parents=True)
            self._namespace("self", "net:[1]")

        def sockets(self, *rows, name="tcp"):
            head = "  sl  local_address rem_address   st\n"
            lines = [
                f"   {n}: {local} 00000000:0000 {state} 0:0 00:0 0 0 0 {inode} 1 0\n"
                for n, (local, state, inode) in enumerate(rows)
            ]
            (self.path / "self" / "net" / name).write_text(head + "".join(lines))

        def process(self, pid, comm, *argv, inodes=(), files=(), unit="", namespace="net:[1]"):
            here = self.path / str(pid)
            (here / "fd").mkdir(parents=True)
            (here / "fdinfo").mkdir()
            (here / "comm").write_text(comm + "\n")
            (here / "cmdline").write_text("\0".join(argv or (comm,)))
            (here / "cgroup").write_text(f"0::/system.slice/{unit}\n")
            self._namespace(pid, namespace)
            targets = [(f"socket:[{inode}]", "02") for inode in inodes]
            targets += [(str(file), flags) for file, flags in files]
            for number, (target, flags) in enumerate(targets):
                os.symlink(target, here / "fd" / str(number))
                (here / "fdinfo" / str(number)).write_text(f"pos:\t0\nflags:\t{flags}\n")

        def _namespace(self, name, target):
            (self.path / str(name) / "ns").mkdir(parents=True)
            os.symlink(target, self.path / str(name) / "ns" / "net")

    return Proc()
