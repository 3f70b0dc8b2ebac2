"""What traffic feels, whichever backend: real connections between namespaces, over veth."""

import sys
import time

import pytest

from excise.decide.plan import ActiveSet, ChangeSet, Element, Measure, gather, plan
from excise.decide.span import parse_span
from excise.enforce.ipset import Ipset
from excise.enforce.ipset_rules import setup
from excise.enforce.nft import Nftables
from excise.model.decision import Tier

pytestmark = pytest.mark.netns

SERVICE, OTHER = 8443, 9000
RATE = 100 * 1024
#: every rate of this page, as rules of iptables need them beforehand
TIERS = (Tier("one", RATE, RATE, 1 / 60), Tier("two", 1_000))

# streams without end to each connection, and tells which ones were reset
SERVER = """
import os, socket, sys, threading

def say(*words):  # in one write: several threads speak
    os.write(1, (" ".join(words) + "\\n").encode())

def serve(connection, peer):
    try:
        while True:
            connection.sendall(bytes(1 << 14))
    except OSError as e:
        say("ended", peer[0], type(e).__name__)

def listen(family, port):
    with socket.create_server(("", port), family=family) as listener:
        say("listening")
        while True:
            threading.Thread(target=serve, args=listener.accept(), daemon=True).start()

for port in map(int, sys.argv[1:]):
    for family in (socket.AF_INET, socket.AF_INET6):
        threading.Thread(target=listen, args=(family, port)).start()
"""

# takes all it can get, and tells (seconds, bytes) ten times a second
CLIENT = """
import socket, sys, time

source, target, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
try:
    s = socket.create_connection((target, port), float(sys.argv[4]), (source, 0))
except OSError as e:
    print("refused", type(e).__name__, flush=True)
    sys.exit()
s.settimeout(0.1)
total, said = 0, 0.0
while True:
    try:
        total += len(s.recv(1 << 18))
    except TimeoutError:
        pass
    if time.monotonic() - said > 0.1:
        said = time.monotonic()
        print(said, total, flush=True)
"""

# takes what one caller sends, and tells of it as the client does
SINK = """
import socket, sys, time

with socket.create_server(("", int(sys.argv[1]))) as listener:
    print("listening", flush=True)
    s, _ = listener.accept()
s.settimeout(0.1)
total, said = 0, 0.0
while True:
    try:
        total += len(s.recv(1 << 18))
    except TimeoutError:
        pass
    if time.monotonic() - said > 0.1:
        said = time.monotonic()
        print(said, total, flush=True)
"""

SENDER = """
import socket, sys

s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5.0)
s.settimeout(None)
while True:
    s.sendall(bytes(1 << 14))
"""


def until_bytes(client, total, wait_s=10.0):
    """Wait until a client has got so much, and return (seconds, bytes)."""
    line = client.until(lambda line: int(line[1]) >= total, wait_s)[-1]
    return float(line[0]), int(line[1])


def rate_over(client, seconds):
    """Return a client's bytes per second, from its next line on."""
    first = client.until(lambda line: True, 5.0)[0]
    end = float(first[0]) + seconds
    last = client.until(lambda line: float(line[0]) >= end, seconds + 10.0)[-1]
    return (int(last[1]) - int(first[1])) / (float(last[0]) - float(first[0]))


def skim(client, seconds):
    """Read a client's lines for a while, so that what follows is measured in the steady state."""
    rate_over(client, seconds)


def element(measure, text, rate=0):
    return Element(measure, parse_span(text), rate, time.time() + 600)


class Net:
    """A serving and a calling namespace on one wire, and a backend in the serving one."""

    def __init__(self, namespaces, start, tools=None):
        self.server_ns, self.client_ns = namespaces(), namespaces()
        self.start = start
        wire = ["link", "add", "wire0", "type", "veth", "peer", "name", "wire0"]
        self.server_ns.ip(*wire, "netns", self.client_ns.name)
        self.address(self.server_ns, "192.0.2.1/24", "2001:db8::1/64")
        self.address(self.client_ns, "192.0.2.10/24", "192.0.2.20/24", "192.0.2.21/24")
        self.address(self.client_ns, "2001:db8::10/64", "2001:db8::20/64")
        name = self.server_ns.name
        self.nft = Ipset(TIERS, netns=name) if tools else Nftables(netns=name)
        self.nft.open()
        self.nft.set_guards([], [SERVICE])
        #: whether the published port of a container is all that the backend must know
        self.knows_published = tools is None
        if tools:
            self.server_ns.shell(setup(TIERS), tools)
            self.nft.replace(ActiveSet())
            assert self.nft.unmet() == ""

    @staticmethod
    def address(namespace, *addresses):
        for address in addresses:
            extra = ["nodad"] if ":" in address else []
            namespace.ip("address", "add", address, "dev", "wire0", *extra)
        namespace.ip("link", "set", "wire0", "up")

    def serve(self):
        server = self.start(
            self.server_ns.command(sys.executable, "-c", SERVER, str(SERVICE), str(OTHER))
        )
        for _ in range(4):
            server.until(lambda line: line == ["listening"], 10.0)
        return server

    def call(self, source, port=SERVICE, wait_s=5.0):
        target = "2001:db8::1" if ":" in source else "192.0.2.1"
        return self.start(
            self.client_ns.command(
                sys.executable, "-c", CLIENT, source, target, str(port), str(wait_s)
            )
        )

    def hold(self, *elements):
        self.nft.apply(plan(gather(elements), self.nft.read()))


@pytest.fixture(params=["nftables", "ipset-legacy", "ipset-nft"])
def net(request, namespaces, start):
    _backend, _dash, flavour = request.param.partition("-")
    tools = request.getfixturevalue("iptables")[flavour] if flavour else None
    made = Net(namespaces, start, tools)
    yield made
    made.nft.close(keep=True)


def test_a_running_download_is_slowed_to_its_rate_by_address_and_by_network(net):
    net.serve()
    clients = [net.call("192.0.2.10"), net.call("2001:db8::10"), net.call("192.0.2.20")]
    for client in clients:
        until_bytes(client, 10 * RATE)
    net.hold(
        element(Measure.EGRESS, "192.0.2.10", RATE),
        element(Measure.EGRESS, "2001:db8::/64", RATE),
    )
    for client in clients[:2]:
        skim(client, 4.0)  # what was under way, and TCP's first retreat
        slowed = rate_over(client, 6.0)
        assert 0.5 * RATE < slowed < 1.6 * RATE
    assert rate_over(clients[2], 1.0) > 10 * RATE
    held = list(net.nft.read())
    counted = net.nft.counters(held).traffic
    assert {(e.measure, e.span) for e in held} == set(counted)
    assert all(traffic.packets > 0 for traffic in counted.values())
    if net.nft.name == "nftables":  # the rules of iptables are counted by their owner
        total = net.nft.totals().traffic[Measure.EGRESS]
        assert total.bytes >= sum(traffic.bytes for traffic in counted.values())
    assert net.nft.in_sync()  # counting is no change of the rules


@pytest.mark.parametrize("network", ["192.0.2.0/24", "192.0.0.0/22"])
def test_all_of_a_throttled_network_share_one_rate(net, network):
    net.serve()
    clients = [net.call("192.0.2.10"), net.call("192.0.2.20")]
    for client in clients:
        until_bytes(client, 10 * RATE)
    net.hold(element(Measure.EGRESS, network, RATE))
    before = []
    for client in clients:
        skim(client, 4.0)
        before.append(until_bytes(client, 0))
    after = [until_bytes(c, 0) for c in clients if skim(c, 3.0) is None]
    rates = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in zip(before, after, strict=True)]
    assert 0.4 * RATE < sum(rates) < 1.6 * RATE


@pytest.mark.parametrize(
    ("source", "dropped"),
    [
        ("192.0.2.10", "192.0.2.10"),
        ("192.0.2.10", "192.0.2.0/28"),
        ("2001:db8::10", "2001:db8::10"),
        ("2001:db8::10", "2001:db8::/64"),
    ],
)
def test_a_drop_ends_a_stream_at_once_on_the_serving_side(net, source, dropped):
    server = net.serve()
    client, bystander = net.call(source), net.call("192.0.2.20")
    until_bytes(client, 1 << 16)
    until_bytes(bystander, 1 << 16)
    begun = time.monotonic()
    net.hold(element(Measure.DROP, dropped))
    ended = server.until(lambda line: line[0] == "ended", 5.0)[-1]
    assert time.monotonic() - begun < 2.0  # without a reset TCP sends on for minutes
    assert ended[1].endswith(source)
    assert ended[2] in {"ConnectionResetError", "BrokenPipeError"}
    skim(client, 0.3)
    assert 0.0 == rate_over(client, 0.5)
    assert rate_over(bystander, 0.5) > 0


def test_a_dropped_address_gets_no_connection_and_other_ports_are_untouched(net):
    net.serve()
    net.hold(
        element(Measure.DROP, "192.0.2.10"),
        element(Measure.DROP, "2001:db8::/64"),
        element(Measure.EGRESS, "192.0.2.20", RATE),
    )
    shut = [net.call("192.0.2.10", wait_s=1.5), net.call("2001:db8::10", wait_s=1.5)]
    for client in shut:
        assert ["refused", "TimeoutError"] == client.until(lambda line: True, 10.0)[0]
    for source in ("192.0.2.10", "2001:db8::10", "192.0.2.20"):
        until_bytes(net.call(source, OTHER), 20 * RATE)


def test_an_allowed_address_gets_through_whatever_its_network_has_coming(net):
    net.serve()
    net.nft.set_guards(["192.0.2.20", "2001:db8::20"], [SERVICE])
    net.hold(
        element(Measure.DROP, "192.0.2.0/24"),
        element(Measure.DROP, "2001:db8::/64"),
        element(Measure.EGRESS, "192.0.2.0/24", 1_000),
    )
    shut = net.call("192.0.2.21", wait_s=1.5)
    for source in ("192.0.2.20", "2001:db8::20"):
        until_bytes(net.call(source), 20 * RATE)
    assert "refused" == shut.until(lambda line: True, 10.0)[0][0]


def test_a_lifted_address_is_served_again(net):
    net.serve()
    net.hold(element(Measure.DROP, "192.0.2.10"))
    shut = net.call("192.0.2.10", wait_s=1.0)
    assert "refused" == shut.until(lambda line: True, 10.0)[0][0]
    net.nft.apply(plan(ActiveSet(), net.nft.read()))
    until_bytes(net.call("192.0.2.10"), 1 << 16)


def test_new_connections_are_held_to_their_number(net):
    """One an hour, five at once: the sixth waits, and what runs is left alone."""
    net.serve()
    net.hold(element(Measure.CONNECTIONS, "192.0.2.10", 1))
    first = [net.call("192.0.2.10") for _ in range(5)]
    for client in first:
        until_bytes(client, 1 << 16)
    sixth = net.call("192.0.2.10", wait_s=1.5)
    assert ["refused", "TimeoutError"] == sixth.until(lambda line: True, 10.0)[0]
    assert rate_over(first[0], 0.5) > 0


def test_an_upload_is_slowed_to_its_rate(net):
    sink = net.start(net.server_ns.command(sys.executable, "-c", SINK, str(SERVICE)))
    sink.until(lambda line: line == ["listening"], 10.0)
    net.start(net.client_ns.command(sys.executable, "-c", SENDER, "192.0.2.1", str(SERVICE)))
    until_bytes(sink, 10 * RATE)
    net.hold(element(Measure.INGRESS, "192.0.2.0/24", RATE))
    skim(sink, 4.0)
    assert 0.4 * RATE < rate_over(sink, 6.0) < 1.6 * RATE


def test_a_published_port_of_a_container_is_throttled_and_dropped(net, namespaces, start):
    """The service listens elsewhere under another port; the host rewrites both."""
    inside = namespaces()
    net.server_ns.ip(
        "link", "add", "box0", "type", "veth", "peer", "name", "wire0", "netns", inside.name
    )
    net.address(inside, "198.51.100.2/24")
    net.server_ns.ip("address", "add", "198.51.100.1/24", "dev", "box0")
    net.server_ns.ip("link", "set", "box0", "up")
    inside.ip("route", "add", "default", "via", "198.51.100.1")
    net.server_ns.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    publish = (
        "add table ip nat; add chain ip nat pre { type nat hook prerouting priority dstnat; };"
    )
    publish += f" add rule ip nat pre tcp dport {SERVICE} dnat to 198.51.100.2:{OTHER}"
    made = net.server_ns.run("nft", publish, check=False)
    if made.returncode:
        pytest.skip(f"this kernel has no NAT: {made.stderr.strip()}")
    start_inside = inside.command(sys.executable, "-c", SERVER, str(OTHER))
    server = start(start_inside)
    for _ in range(2):
        server.until(lambda line: line == ["listening"], 10.0)
    client = net.call("192.0.2.10")
    until_bytes(client, 10 * RATE)
    if not net.knows_published:
        net.nft.set_guards([], [SERVICE, OTHER])
    net.hold(element(Measure.EGRESS, "192.0.2.10", RATE))
    skim(client, 4.0)
    assert 0.5 * RATE < rate_over(client, 6.0) < 1.6 * RATE
    assert net.nft.in_sync()  # and has seen the NAT
    net.nft.apply(ChangeSet(additions=(element(Measure.DROP, "192.0.2.10"),)))
    server.until(lambda line: line[0] == "ended", 5.0)
