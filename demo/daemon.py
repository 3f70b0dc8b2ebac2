"""excise as an operator runs it: a configuration file, the daemon, the command line, the API."""

from __future__ import annotations

import http.client
import json
import socket
import sys
import time
from typing import Any
from urllib.parse import quote

from demo.gateway import REPOSITORY, TLS_PORT
from demo.world import World, WorldError

READY_S = 30.0
TIERS = {"slow": 50 * 1024, "crawl": 5 * 1024}  # egress bytes/s of the default ladder

CONFIGURATION = """\
posture: enforce        # the default is to observe; all else here is as shipped
inputs:
  - file: {directory}/excise.log
    format: record
rules: [{rules}]
ports: [{port}]
enforcer: nftables
state: {directory}/state
api: {{socket: {socket}}}
"""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Daemon:
    """The daemon in the server's namespace."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.config = world.path("excise.yaml")
        self.socket = world.path("control.sock")
        self.excise = [sys.executable, "-m", "excise"]

    def start(self) -> None:
        """Configure it for the demo, run it, and follow its decisions. Raises WorldError."""
        self.config.write_text(
            CONFIGURATION.format(
                directory=self.world.directory,
                rules=REPOSITORY / "rules",
                port=TLS_PORT,
                socket=self.socket,
            )
        )
        self.run()
        follow = [*self.excise, "events", "--json", "--config", str(self.config)]
        self.world.start("events", self.world.server, *follow)

    def run(self) -> None:
        """Run it with the configuration that is there; wait until it is ready."""
        verb = [*self.excise, "run", "--config", str(self.config)]
        process = self.world.start("excise", self.world.server, *verb)
        deadline = time.monotonic() + READY_S
        while not self.ready():
            if not process.alive() or time.monotonic() > deadline:
                raise WorldError(f"excise did not come up: {self.problem()}")
            time.sleep(0.05)

    def problem(self) -> str:
        """The end of what it logged."""
        return self.world.complaint("excise")

    def ready(self) -> bool:
        try:
            return self._ask("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def get(self, path: str) -> Any:
        """Return what the control API answers. Raises WorldError if it refuses."""
        status, body = self._ask("GET", path)
        if status != 200:
            raise WorldError(f"GET {path}: {status} {body.decode(errors='replace')[:300]}")
        return json.loads(body)

    def source(self, name: str) -> Any:
        return self.get(f"/v1/sources/{quote(name, safe='')}")

    def _ask(self, method: str, path: str) -> tuple[int, bytes]:
        connection = _UnixConnection(str(self.socket))
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def cli(self, *argv: str) -> str:
        """Run a verb of the command line and return what it prints."""
        return self.world.run(
            self.world.server, *self.excise, *argv, "--config", str(self.config), check=True
        )
