"""A daemon beside real traffic: what it says it took away, and who it says meddled."""

import json
import sys
import time

import pytest

from excise.cli.client import Client

pytestmark = pytest.mark.netns

SERVICE = 8443
WAIT_S = 20.0
SERVER = """
import socket, sys, threading

def serve(connection):
    try:
        while True:
            connection.sendall(bytes(1 << 14))
    except OSError:
        pass

with socket.create_server(("", int(sys.argv[1]))) as listener:
    print("listening", flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=[connection], daemon=True).start()
"""
CLIENT = """
import socket, sys

s = socket.create_connection(("192.0.2.1", int(sys.argv[2])), 10, (sys.argv[1], 0))
s.settimeout(None)
print("connected", flush=True)
while s.recv(1 << 18):
    pass
"""


class Host:
    """A serving namespace with a daemon, and a calling one, on one wire."""

    def __init__(self, namespaces, start, directory):
        self.server_ns, self.client_ns, self.start = namespaces(), namespaces(), start
        wire = ["link", "add", "wire0", "type", "veth", "peer", "name", "wire0"]
        self.server_ns.ip(*wire, "netns", self.client_ns.name)
        for namespace, addresses in (
            (self.server_ns, ["192.0.2.1/24"]),
            (self.client_ns, [f"192.0.2.{n}/24" for n in (10, 20, 30)]),
        ):
            for address in addresses:
                namespace.ip("address", "add", address, "dev", "wire0")
            namespace.ip("link", "set", "wire0", "up")
        self.config = directory / "excise.yaml"
        self.config.write_text(
            f"posture: enforce\nports: [{SERVICE}]\nstate: {directory}/state\n"
            f"inputs: [{{file: {directory}/log, format: record}}]\n"
            f"api: {{socket: {directory}/control.sock}}\nlog: {{file: {directory}/excise.log}}\n"
        )
        self.requests = directory / "log"
        self.requests.touch()
        self.log = directory / "excise.log"
        start(self.server_ns.command(*self.command("run")))
        self.eventually(lambda: self.control("status", check=False).returncode == 0)

    def command(self, verb, *words):
        return [sys.executable, "-m", "excise", verb, *words, "--config", str(self.config)]

    def control(self, verb, *words, check=True):
        return self.server_ns.run(*self.command(verb, *words), check=check)

    def get(self, path, **query):
        return json.loads(Client(self.config.with_name("control.sock")).get(path, **query))

    def call(self, source):
        client = self.start(
            self.client_ns.command(sys.executable, "-c", CLIENT, source, str(SERVICE))
        )
        client.until(lambda line: line == ["connected"], WAIT_S)

    def knock(self, source):
        """Ask for a connection that is not answered: its first packet is dropped on arrival."""
        knocking = "import socket, sys\nwith socket.socket() as s:\n    s.bind((sys.argv[1], 0))\n"
        knocking += "    s.setblocking(False)\n    s.connect_ex(('192.0.2.1', int(sys.argv[2])))\n"
        self.client_ns.run(sys.executable, "-c", knocking, source, str(SERVICE))

    @staticmethod
    def eventually(holds):
        deadline = time.monotonic() + WAIT_S
        while not holds():
            assert time.monotonic() < deadline, "it did not come about in time"


@pytest.fixture
def host(namespaces, start, tmp_path):
    made = Host(namespaces, start, tmp_path)
    server = start(made.server_ns.command(sys.executable, "-c", SERVER, str(SERVICE)))
    server.until(lambda line: line == ["listening"], WAIT_S)
    return made


def test_what_was_taken_away_is_told_and_outlives_a_flush(host):
    for source in ("192.0.2.10", "192.0.2.20", "192.0.2.30"):
        host.call(source)
    host.control("throttle", "192.0.2.10", "--tier", "slow", "--reason", "test")
    host.control("drop", "192.0.2.20", "--reason", "test")
    host.control("drop", "192.0.2.30/31", "--reason", "test")

    def dropped(target):
        (decision,) = host.get("/v1/decisions", target=target)["decisions"]
        return decision.get("dropped", {"bytes": 0})["bytes"]

    def enforcer():
        return host.get("/v1/status")["enforcer"]

    host.eventually(lambda: dropped("192.0.2.10") > 0 and dropped("192.0.2.30/31") > 0)
    host.eventually(lambda: enforcer()["throttled"].get("slow"))
    # a single dropped address has no counter of its own; the total has it. Its connection may
    # have ended without one more packet, so it asks for another
    host.knock("192.0.2.20")
    assert 0 == dropped("192.0.2.20")
    host.eventually(lambda: enforcer()["dropped"]["drop"]["bytes"] > dropped("192.0.2.30/31"))
    before = enforcer()
    assert before["throttled"]["slow"]["egress"]["bytes"] > 0

    throttled = dropped("192.0.2.10")
    host.server_ns.nft("flush ruleset")
    host.eventually(lambda: enforcer()["repairs"] == 1)
    host.eventually(lambda: dropped("192.0.2.10") > throttled)
    after = enforcer()
    for measure in ("drop", "egress"):
        assert after["dropped"][measure]["bytes"] >= before["dropped"][measure]["bytes"]

    said = "deleted table ip excise, deleted table ip6 excise"
    assert after["audit"]["last"].endswith(said)
    events = [json.loads(line) for line in host.log.read_text().splitlines()]
    (alarm,) = [e for e in events if e.get("code") == "enforce-repaired"]
    assert alarm["text"].startswith("the kernel's set was changed: nft (pid ")
    (heard,) = [e for e in events if e["event"] == "enforce.foreign_change"]
    assert ("nft", said) == (heard["process"], ", ".join(heard["did"]))

    with host.requests.open("a") as log:
        print(json.dumps({"ts": time.time(), "client": "192.0.2.10"}), file=log)
    host.eventually(lambda: host.control("explain", "192.0.2.10", check=False).returncode == 0)
    assert "\n192.0.2.10/32: egress " in host.control("explain", "192.0.2.10").stdout
    assert " by throttles egress " in host.control("status").stdout
