"""Two network namespaces joined by a veth pair, and the processes that live in them.

The interfaces are created inside the namespaces; nothing appears in the host's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

SERVER_ADDRESS = "10.0.0.1"
PREFIX_LENGTH = 8
GRACE_S = 3.0
#: how long a command may take on a busy machine: checking all rules takes ten seconds of work
PATIENCE_S = 120.0
KEPT = "kept.json"  # its presence in a run's directory says that `--stop` may end that run
DIRECTORY_PREFIX = "excise-demo-"


class WorldError(Exception):
    """The namespaces, or something inside them, could not be set up."""


def command(*argv: str, check: bool = True) -> str:
    """Run to the end; return standard output. Raises WorldError with what it said."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    if check and done.returncode:
        raise WorldError(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def started_ticks(pid: int) -> int | None:
    """When a process started (proc(5), stat field 22), to know it from a later one of its pid."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError):
        return None


@dataclass
class Process:
    """A process that this run started."""

    name: str
    pid: int
    started: int

    def alive(self) -> bool:
        """Whether it runs still; a zombie of ours counts as gone."""
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        return started_ticks(self.pid) == self.started

    def signal(self, number: int) -> None:
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def stop(self) -> None:
        """Ask, wait a bounded time, insist."""
        self.signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_S
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.signal(signal.SIGKILL)


@dataclass
class World:
    """The namespaces `server` and `client`, a directory, and the processes, oldest first."""

    directory: Path
    server: str
    client: str
    processes: list[Process] = field(default_factory=list)

    @classmethod
    def make(cls, client_addresses: list[str]) -> World:
        """Build it. Raises WorldError where namespaces cannot be made; nothing is then left."""
        if os.geteuid() != 0:
            raise WorldError("the demo makes network namespaces: run it as root")
        directory = Path(tempfile.mkdtemp(prefix=DIRECTORY_PREFIX))
        directory.chmod(0o755)  # nginx's worker is another user
        tag = directory.name.removeprefix(DIRECTORY_PREFIX)
        world = cls(directory, f"excise-{tag}-server", f"excise-{tag}-client")
        try:
            world._network(client_addresses)
        except BaseException:
            world.close()
            raise
        return world

    def _network(self, client_addresses: list[str]) -> None:
        server, client = self.server, self.client
        for name in (server, client):
            command("ip", "netns", "add", name)
            command("ip", "-n", name, "link", "set", "lo", "up")
        veth = ["type", "veth", "peer", "name", "client0", "netns", client]
        command("ip", "-n", server, "link", "add", "server0", *veth)
        self._address(server, "server0", [SERVER_ADDRESS])
        self._address(client, "client0", client_addresses)

    @staticmethod
    def _address(namespace: str, device: str, addresses: list[str]) -> None:
        for address in addresses:
            cidr = f"{address}/{PREFIX_LENGTH}"
            command("ip", "-n", namespace, "addr", "add", cidr, "dev", device)
        command("ip", "-n", namespace, "link", "set", device, "up")

    def path(self, name: str) -> Path:
        return self.directory / name

    def run(self, namespace: str, *argv: str, check: bool = True) -> str:
        """Run a command to its end inside a namespace."""
        return command("ip", "netns", "exec", namespace, *argv, check=check)

    def status(self, namespace: str, *argv: str) -> int:
        """Run a command inside a namespace for its exit status alone."""
        inside = ["ip", "netns", "exec", namespace, *argv]
        return subprocess.run(
            inside, capture_output=True, check=False, timeout=PATIENCE_S
        ).returncode

    def start(self, name: str, namespace: str, *argv: str) -> Process:
        """Start a process in a namespace; what it prints goes to `<name>.out` and `.err`.

        It gets a session of its own: a Ctrl-C at the terminal reaches the demo alone, which
        then stops everything in order.
        """
        with self.path(f"{name}.out").open("wb") as out, self.path(f"{name}.err").open("wb") as err:
            child = subprocess.Popen(  # `ip netns exec` becomes the command: same pid
                ["ip", "netns", "exec", namespace, *argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        process = Process(name, child.pid, started_ticks(child.pid) or 0)
        child.returncode = 0  # `Process` reaps it; Popen must not warn about a running child
        self.processes.append(process)
        return process

    def stop(self, process: Process) -> None:
        """End one process now; its output stays readable."""
        process.stop()
        self.processes.remove(process)

    def complaint(self, name: str) -> str:
        """The end of what a process wrote to standard error."""
        return self.path(f"{name}.err").read_text(errors="replace")[-2000:].strip()

    def keep(self) -> None:
        """Leave everything running; `stop_kept` finds it again."""
        state = {
            "server": self.server,
            "client": self.client,
            "processes": [asdict(p) for p in self.processes],
        }
        self.path(KEPT).write_text(json.dumps(state))

    def gone(self) -> bool:
        """Whether nothing of it is left."""
        present = command("ip", "netns", "list", check=False).split()
        names = {self.server, self.client} & set(present)
        alive = [p for p in self.processes if p.alive()]
        return not (names or alive or self.directory.exists())

    def close(self) -> None:
        """End the processes, newest first, and remove namespaces and directory."""
        for process in reversed(self.processes):
            process.stop()
        present = command("ip", "netns", "list", check=False).split()
        for name in (self.server, self.client):
            if name not in present:
                continue
            for pid in command("ip", "netns", "pids", name, check=False).split():
                with contextlib.suppress(ProcessLookupError):  # workers of a killed master
                    os.kill(int(pid), signal.SIGKILL)
            command("ip", "netns", "del", name, check=False)
        shutil.rmtree(self.directory, ignore_errors=True)


def stop_kept() -> int:
    """End every run that was left with `--keep`; return how many there were."""
    found = sorted(Path(tempfile.gettempdir()).glob(f"{DIRECTORY_PREFIX}*/{KEPT}"))
    for file in found:
        state = json.loads(file.read_text())
        processes = [Process(**p) for p in state["processes"]]
        World(file.parent, state["server"], state["client"], processes).close()
    return len(found)
