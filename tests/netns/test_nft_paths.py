"""The ways that packets take: containers behind NAT, UDP, guarded ports."""

import sys
import time

import pytest

from excise.decide.plan import ActiveSet, ChangeSet, Element, Measure, gather, plan
from excise.decide.span import parse_span
from excise.enforce.nft import Nftables
from excise.model.portguard import PortGuard

pytestmark = pytest.mark.netns

#: the service's port, the container's own, and the model server's in plaintext
SERVICE, INSIDE, PLAIN = 8443, 9000, 8000
HOST, CLIENT, OTHER_CLIENT = "192.0.2.1", "192.0.2.10", "192.0.2.20"
HOST6, CLIENT6 = "2001:db8::1", "2001:db8::10"

# sends a token each 5 ms to who connects, or says hello, and tells when that came to an end
STREAM = """
import os, socket, sys, threading, time

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def stream(s, peer):
    try:
        while True:
            try:
                s.send(b"data: token\\n\\n" * 8)
            except PermissionError:
                if sys.argv[1] != "lossy":
                    raise
            time.sleep(0.005)
    except OSError as e:
        say("ended", peer, type(e).__name__, time.monotonic())

def tcp(family, port):
    with socket.create_server(("", port), family=family) as listener:
        say("listening")
        while True:
            s, address = listener.accept()
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=stream, args=(s, address[0]), daemon=True).start()

def bound(family, port):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind(("", port))
    return s

def udp(family, port):
    listener = bound(family, port)
    say("listening")
    while True:
        _hello, address = listener.recvfrom(2048)
        s = bound(family, port)
        s.connect(address)
        say("begun", address[0])
        threading.Thread(target=stream, args=(s, address[0]), daemon=True).start()

serve = {"tcp": tcp, "udp": udp, "lossy": udp}[sys.argv[1]]
for port in map(int, sys.argv[2:]):
    for family in (socket.AF_INET, socket.AF_INET6):
        threading.Thread(target=serve, args=(family, port)).start()
"""

# says hello if it is UDP, takes what comes, and tells (seconds, bytes) ten times a second
TAKE = """
import socket, sys, time

kind, source, target, port, wait_s = *sys.argv[1:4], int(sys.argv[4]), float(sys.argv[5])
family = socket.AF_INET6 if ":" in target else socket.AF_INET
s = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
s.settimeout(wait_s)
s.bind((source, 0))
try:
    s.connect((target, port))
    if kind == "udp":
        s.send(b"hello")
except OSError as e:
    print("refused", type(e).__name__, flush=True)
    sys.exit()
s.settimeout(0.1)
total, said = 0, 0.0
while True:
    try:
        got = s.recv(1 << 16)
        total += len(got)
        if not got and kind == "tcp":
            print("closed", total, flush=True)
            break
    except TimeoutError:
        pass
    if time.monotonic() - said > 0.1:
        said = time.monotonic()
        print(said, total, flush=True)
"""

# sends datagrams (hex) to a port, the named number of times, with pauses
SEND = """
import socket, sys, time

s = socket.socket(socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 0))
for _ in range(int(sys.argv[4])):
    s.sendto(bytes.fromhex(sys.argv[5]), (sys.argv[2], int(sys.argv[3])))
    time.sleep(float(sys.argv[6]))
"""

# tells of each datagram: source, bytes
COUNT = """
import socket, sys

s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("", int(sys.argv[1])))
print("listening", flush=True)
while True:
    data, address = s.recvfrom(2048)
    print(address[0], len(data), data[:1].hex(), flush=True)
"""


def element(measure, text, rate=0):
    return Element(measure, parse_span(text), rate, time.time() + 600)


class Site:
    """A host, its clients on one wire, and a container on another; the host publishes a port."""

    def __init__(self, namespaces, start):
        self.start = start
        self.host, self.clients, self.inside = namespaces(), namespaces(), namespaces()
        for end, name in ((self.clients, "wire0"), (self.inside, "box0")):
            self.host.ip(
                "link", "add", name, "type", "veth", "peer", "name", name, "netns", end.name
            )
        self._address(self.host, "wire0", f"{HOST}/24", f"{HOST6}/64")
        self._address(self.host, "box0", "198.51.100.1/24", "2001:db8:b::1/64")
        clients = (f"{CLIENT}/24", f"{OTHER_CLIENT}/24", f"{CLIENT6}/64")
        self._address(self.clients, "wire0", *clients)
        self._address(self.inside, "box0", "198.51.100.2/24", "2001:db8:b::2/64")
        self.inside.ip("route", "add", "default", "via", "198.51.100.1")
        self.inside.ip("-6", "route", "add", "default", "via", "2001:db8:b::1")
        for key in ("ipv4.ip_forward", "ipv6.conf.all.forwarding"):
            self.host.run("sysctl", "-qw", f"net.{key}=1")
        self.nft = Nftables(netns=self.host.name)
        self.nft.open()
        self.nft.set_guards([], [SERVICE])

    @staticmethod
    def _address(namespace, device, *addresses):
        for address in addresses:
            extra = ["nodad"] if ":" in address else []
            namespace.ip("address", "add", address, "dev", device, *extra)
        namespace.ip("link", "set", device, "up")

    def publish(self, port=SERVICE):
        """Do what container engines do for a published port."""
        for family, address in (("ip", "198.51.100.2"), ("ip6", "[2001:db8:b::2]")):
            script = f"add table {family} nat; add chain {family} nat pre"
            script += " { type nat hook prerouting priority dstnat; };"
            for kind in ("tcp", "udp"):
                script += f"add rule {family} nat pre {kind} dport {port} dnat to "
                script += f"{address}:{INSIDE};"
            self.host.nft(script)

    def serve(self, where, kind, *ports):
        server = self.start(where.command(sys.executable, "-c", STREAM, kind, *map(str, ports)))
        for _ in range(2 * len(ports)):
            server.until(lambda line: line == ["listening"], 10.0)
        return server

    def take(self, kind, source, port=SERVICE, wait_s=5.0, target=None):
        target = target or (HOST6 if ":" in source else HOST)
        argv = (sys.executable, "-c", TAKE, kind, source, target, str(port), str(wait_s))
        return self.start(self.clients.command(*argv))

    def drop(self, *targets):
        """Drop, and return the time at which the kernel had acknowledged it."""
        self.nft.apply(ChangeSet(additions=tuple(element(Measure.DROP, t) for t in targets)))
        return time.monotonic()


@pytest.fixture
def site(namespaces, start):
    made = Site(namespaces, start)
    yield made
    made.nft.close(keep=True)


def until_bytes(client, total, wait_s=10.0):
    client.until(lambda line: line[0] != "refused" and int(line[1]) >= total, wait_s)


def stalled(client):
    """Whether nothing comes any more; half a second for what was under way."""
    first = client.until(lambda line: True, 5.0)[-1]
    settled = client.until(lambda line: float(line[0]) > float(first[0]) + 0.5, 5.0)[-1]
    last = client.until(lambda line: float(line[0]) > float(settled[0]) + 0.5, 5.0)[-1]
    return int(last[1]) == int(settled[1])


def sockets(namespace, port):
    """Return the peers of connected TCP sockets at a port."""
    listed = namespace.run("ss", "-Hnta", f"sport = :{port}").stdout.splitlines()
    return [line.split()[4] for line in listed if not line.startswith("LISTEN")]


@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize(
    ("source", "dropped"),
    [
        pytest.param(CLIENT, CLIENT, id="v4"),
        pytest.param(CLIENT, "192.0.2.8/29", id="v4 network"),
        pytest.param(CLIENT6, CLIENT6, id="v6"),
        pytest.param(CLIENT6, "2001:db8::/64", id="v6 network"),
    ],
)
def test_a_drop_ends_a_containers_stream_at_once_by_the_published_port(site, kind, source, dropped):
    server = site.serve(site.inside, kind, INSIDE)
    site.publish()
    assert site.nft.in_sync()  # and noticed that there is NAT now
    client, bystander = site.take(kind, source), site.take(kind, OTHER_CLIENT)
    until_bytes(client, 1_000)
    until_bytes(bystander, 1_000)
    done = site.drop(dropped)
    ended = server.until(lambda line: line[0] == "ended", 5.0)[-1]
    assert ended[1].endswith(source)
    assert float(ended[3]) - done < 0.5  # measured: a few milliseconds
    assert stalled(client)
    assert not stalled(bystander)
    assert not [peer for peer in sockets(site.inside, INSIDE) if source in peer]


@pytest.mark.parametrize("source", [CLIENT, CLIENT6])
def test_a_drop_ends_a_udp_stream_of_the_host_at_once(site, source):
    server = site.serve(site.host, "udp", SERVICE)
    client = site.take("udp", source)
    until_bytes(client, 1_000)
    done = site.drop(source)
    ended = server.until(lambda line: line[0] == "ended", 5.0)[-1]
    assert ended[1].endswith(source)
    assert ended[2] in {"PermissionError", "ConnectionRefusedError"}
    assert float(ended[3]) - done < 0.5
    assert stalled(client)


def test_a_drop_leaves_no_socket_on_the_host(site):
    server = site.serve(site.host, "tcp", SERVICE)
    client = site.take("tcp", CLIENT)
    until_bytes(client, 1_000)
    done = site.drop(CLIENT)
    ended = server.until(lambda line: line[0] == "ended", 5.0)[-1]
    assert float(ended[3]) - done < 0.5
    assert [] == sockets(site.host, SERVICE)


def rules_for_containers(namespace, family="ip"):
    return namespace.nft("list", "chain", family, "excise", "forwarded").count("ct original")


def test_conntrack_is_asked_only_while_somebody_does_nat(site):
    wish = gather([element(Measure.DROP, "203.0.113.7"), element(Measure.DROP, CLIENT6)])
    site.nft.apply(plan(wish, site.nft.read()))
    assert 0 == rules_for_containers(site.host)
    site.publish()
    assert site.nft.in_sync()
    assert (2, 2) == tuple(rules_for_containers(site.host, f) for f in ("ip", "ip6"))
    site.host.nft("delete table ip6 nat")
    assert site.nft.in_sync()
    assert (2, 0) == tuple(rules_for_containers(site.host, f) for f in ("ip", "ip6"))
    site.host.nft("delete table ip nat; add table inet nat")
    site.host.nft("add chain inet nat post { type nat hook postrouting priority srcnat; }")
    assert site.nft.in_sync()
    assert (2, 2) == tuple(rules_for_containers(site.host, f) for f in ("ip", "ip6"))
    site.host.nft("delete table inet nat")
    assert site.nft.in_sync()
    assert (0, 0) == tuple(rules_for_containers(site.host, f) for f in ("ip", "ip6"))
    assert plan(wish, site.nft.read()).is_empty


@pytest.mark.parametrize(("containers", "expected"), [(True, 2), (False, 0)])
def test_whether_to_ask_conntrack_can_be_said(site, containers, expected):
    site.nft.close(keep=False)
    site.publish()
    said = Nftables(containers=containers, netns=site.host.name)
    said.open()
    said.apply(ChangeSet(additions=(element(Measure.DROP, "203.0.113.7"),)))
    assert expected == rules_for_containers(site.host)
    site.host.nft("delete table ip nat")
    assert said.in_sync()
    assert expected == rules_for_containers(site.host)
    said.close(keep=False)


def test_a_udp_stream_is_slowed_to_its_rate(site):
    # to one who sends from this host, the kernel says EPERM of what exceeds it
    site.serve(site.host, "lossy", SERVICE)
    client, other = site.take("udp", CLIENT), site.take("udp", OTHER_CLIENT)
    until_bytes(other, 1_000)
    # a datagram is 104 bytes and 28 of headers; some 200 a second are sent
    slow = element(Measure.EGRESS, CLIENT, 5_120)
    site.nft.apply(ChangeSet(additions=(slow,)))
    first = client.until(lambda line: True, 5.0)[-1]
    begun = client.until(lambda line: float(line[0]) > float(first[0]) + 6.0, 10.0)[-1]
    ended = client.until(lambda line: float(line[0]) > float(begun[0]) + 4.0, 10.0)[-1]
    rate = (int(ended[1]) - int(begun[1])) / (float(ended[0]) - float(begun[0]))
    assert 0.7 * 5_120 < rate * 132 / 104 < 1.3 * 5_120
    assert site.nft.counters([slow]).traffic[slow.measure, slow.span].packets > 0


#: first byte of a long header Initial (RFC 9000), of a short header
INITIAL, SHORT = "c3" + "00" * 1199, "43" + "00" * 59


def test_quic_connections_are_held_to_their_number_and_running_ones_are_left_alone(site):
    counter = site.start(site.host.command(sys.executable, "-c", COUNT, str(SERVICE)))
    counter.until(lambda line: line == ["listening"], 10.0)
    site.nft.apply(ChangeSet(additions=(element(Measure.CONNECTIONS, "192.0.2.8/29", 1),)))
    for source, datagram in ((CLIENT, INITIAL), (CLIENT, SHORT), (OTHER_CLIENT, INITIAL)):
        argv = (sys.executable, "-c", SEND, source, HOST, str(SERVICE), "20", datagram, "0.001")
        site.clients.run(*argv)
    seen = {}

    def counted(line):
        where = line[0].removeprefix("::ffff:"), line[2]
        seen[where] = seen.get(where, 0) + 1
        return seen.get((OTHER_CLIENT, "c3")) == 20

    counter.until(counted, 10.0)
    assert {(CLIENT, "c3"): 5, (CLIENT, "43"): 20, (OTHER_CLIENT, "c3"): 20} == seen


def test_udp_from_a_throttled_client_counts_as_input_unless_it_only_acknowledges(site):
    counter = site.start(site.host.command(sys.executable, "-c", COUNT, str(SERVICE)))
    counter.until(lambda line: line == ["listening"], 10.0)
    site.nft.apply(ChangeSet(additions=(element(Measure.INGRESS, CLIENT, 1_024),)))
    for datagram in ("43" + "00" * 1199, SHORT):
        argv = (sys.executable, "-c", SEND, CLIENT, HOST, str(SERVICE), "50", datagram, "0.001")
        site.clients.run(*argv)
    lines = []
    counter.until(lambda line: lines.append(line) or (len(lines) >= 50 and line[1] == "60"), 10.0)
    large = sum(line[1] == "1200" for line in lines)
    assert 5 <= large < 30  # a second's worth and 16 KiB of burst, of 50


GUARD = PortGuard((PLAIN,), (OTHER_CLIENT, "2001:db8::20"))


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_guarded_port_is_open_to_loopback_the_named_and_the_always_allowed_alone(site, kind):
    site.serve(site.host, kind, PLAIN, SERVICE)
    site.nft.set_guards(["192.0.2.21"], [SERVICE], GUARD)
    site.clients.ip("address", "add", "192.0.2.21/24", "dev", "wire0")
    site.clients.ip("address", "add", "2001:db8::20/64", "dev", "wire0", "nodad")
    shut = [site.take(kind, source, PLAIN, wait_s=1.5) for source in (CLIENT, CLIENT6)]
    for source in (OTHER_CLIENT, "192.0.2.21", "2001:db8::20"):
        until_bytes(site.take(kind, source, PLAIN), 1_000)
    for source in (CLIENT, CLIENT6):  # other ports as before
        until_bytes(site.take(kind, source, SERVICE), 1_000)
    for target in ("127.0.0.1", "::1", HOST, HOST6):
        argv = (sys.executable, "-c", TAKE, kind, target, target, str(PLAIN), "5")
        until_bytes(site.start(site.host.command(*argv)), 1_000)
    for client in shut:
        line = client.until(lambda line: True, 10.0)[0]
        assert line[0] == "refused" if kind == "tcp" else stalled(client)


def test_a_guard_ends_connections_that_were_there_before(site):
    server = site.serve(site.host, "tcp", PLAIN)
    shut, open_still = site.take("tcp", CLIENT, PLAIN), site.take("tcp", OTHER_CLIENT, PLAIN)
    until_bytes(shut, 1_000)
    until_bytes(open_still, 1_000)
    site.nft.set_guards([], [SERVICE], GUARD)
    ended = server.until(lambda line: line[0] == "ended", 5.0)[-1]
    assert ended[1].endswith(CLIENT)
    assert stalled(shut)
    assert not stalled(open_still)


def test_a_guard_ends_what_a_container_still_sends_by_the_published_port(site):
    server = site.serve(site.inside, "tcp", INSIDE)
    site.publish(PLAIN)
    assert site.nft.in_sync()
    client = site.take("tcp", CLIENT, PLAIN)
    until_bytes(client, 1_000)
    site.nft.set_guards([], [SERVICE], GUARD)
    ended = server.until(lambda line: line[0] == "ended", 5.0)[-1]
    assert ended[1].endswith(CLIENT)
    until_bytes(site.take("tcp", OTHER_CLIENT, PLAIN), 1_000)


def test_a_guard_shuts_what_is_published_there_and_leaves_the_service_open(site):
    """The container's own port is shut to those who route to it, not to the published one."""
    site.serve(site.inside, "tcp", INSIDE)
    site.publish()
    site.clients.ip("route", "add", "198.51.100.0/24", "via", HOST)
    site.nft.set_guards([], [SERVICE], PortGuard((INSIDE,)))
    past = site.take("tcp", CLIENT, INSIDE, wait_s=1.5, target="198.51.100.2")
    until_bytes(site.take("tcp", CLIENT), 1_000)
    assert ["refused", "TimeoutError"] == past.until(lambda line: True, 10.0)[0]


def test_what_the_host_asks_of_others_at_that_port_is_answered(site):
    site.serve(site.clients, "tcp", PLAIN)
    site.nft.set_guards([], [SERVICE], GUARD)
    argv = (sys.executable, "-c", TAKE, "tcp", HOST, CLIENT, str(PLAIN), "5")
    until_bytes(site.start(site.host.command(*argv)), 1_000)


def test_a_guard_survives_a_restart_without_a_gap_and_is_put_back(site):
    site.nft.set_guards([], [SERVICE], GUARD)
    site.nft.close(keep=True)
    assert "@guarded" in site.host.nft("list chain ip excise pre")
    again = Nftables(netns=site.host.name)
    again.open()
    assert "@guarded" in site.host.nft("list chain ip excise pre")
    site.host.nft("flush ruleset")
    assert not again.in_sync()
    again.replace(ActiveSet())
    assert "elements = { 8000 }" in site.host.nft("list set ip6 excise guarded")
    assert again.in_sync()
    again.set_guards([], [SERVICE])
    assert again.in_sync()
    assert "guard" not in site.host.nft("list ruleset")
    again.close(keep=False)
