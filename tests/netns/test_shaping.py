"""Egress throttles in classes of HTB, with real traffic and a real interface's discipline."""

import sys
import time

import pytest

from excise.decide.plan import ActiveSet, ChangeSet, Element, Measure, gather, plan
from excise.decide.span import parse_span
from excise.enforce.htb import Htb
from excise.enforce.nft import Nftables
from excise.enforce.shaped import Shaped
from excise.errors import EnforceError

pytestmark = pytest.mark.netns

SERVICE = 8443
RATE = 200 * 1024
HOST, SLOW, FAST, SLOW6 = "192.0.2.1", "192.0.2.10", "192.0.2.20", "2001:db8::10"

# streams without end to each connection
SERVER = """
import os, socket, sys, threading

def serve(connection):
    try:
        while True:
            connection.sendall(bytes(1 << 14))
    except OSError:
        pass

def listen(family, port):
    with socket.create_server(("", port), family=family) as listener:
        os.write(1, b"listening\\n")
        while True:
            threading.Thread(target=serve, args=listener.accept()[:1], daemon=True).start()

for family in (socket.AF_INET, socket.AF_INET6):
    threading.Thread(target=listen, args=(family, int(sys.argv[1]))).start()
"""

# takes all it can get, and tells (seconds, bytes, longest pause since it last told) each 0.1 s
CLIENT = """
import socket, sys, time

s = socket.create_connection((sys.argv[2], int(sys.argv[3])), 5.0, (sys.argv[1], 0))
s.settimeout(0.1)
total, said, heard, gap = 0, 0.0, time.monotonic(), 0.0
while True:
    try:
        total += len(s.recv(1 << 18))
        now = time.monotonic()
        gap, heard = max(gap, now - heard), now
    except TimeoutError:
        gap = max(gap, time.monotonic() - heard)
    if time.monotonic() - said > 0.1:
        said = time.monotonic()
        print(said, total, gap, flush=True)
        gap = 0.0
"""


def element(text, rate=RATE, ttl_s=600.0, measure=Measure.EGRESS):
    return Element(measure, parse_span(text), rate, time.time() + ttl_s)


class Wire:
    """A serving and a calling namespace on one wire, which the serving one shapes."""

    def __init__(self, namespaces, start):
        self.host, self.clients = namespaces(), namespaces()
        self.start = start
        wire = ["link", "add", "wire0", "type", "veth", "peer", "name", "wire0"]
        self.host.ip(*wire, "netns", self.clients.name)
        for namespace, addresses in (
            (self.host, (f"{HOST}/24", "2001:db8::1/64")),
            (self.clients, (f"{SLOW}/24", f"{FAST}/24", f"{SLOW6}/64")),
        ):
            for address in addresses:
                extra = ["nodad"] if ":" in address else []
                namespace.ip("address", "add", address, "dev", "wire0", *extra)
            namespace.ip("link", "set", "wire0", "up")
        self.told = []

    def enforcer(self, *interfaces, **more):
        nft = Nftables(shaping=True, netns=self.host.name)
        made = Shaped(nft, Htb(interfaces or ("wire0",), netns=self.host.name), **more)
        made.tell = lambda event, **words: self.told.append((event, words))
        return made

    def tc(self, *argv):
        return self.host.run("tc", *argv).stdout

    def root(self):
        return self.tc("qdisc", "show", "dev", "wire0").split()[1]

    def classes(self):
        """Return {minor number: rate as tc says it}."""
        lines = self.tc("class", "show", "dev", "wire0").splitlines()
        words = [line.split() for line in lines]
        return {int(w[2].partition(":")[2], 16): w[w.index("rate") + 1] for w in words}

    def serve(self):
        server = self.start(self.host.command(sys.executable, "-c", SERVER, str(SERVICE)))
        for _ in range(2):
            server.until(lambda line: line == ["listening"], 10.0)

    def call(self, source):
        target = "2001:db8::1" if ":" in source else HOST
        argv = (sys.executable, "-c", CLIENT, source, target, str(SERVICE))
        return self.start(self.clients.command(*argv))

    def element_count(self, name, family="ip"):
        return self.host.nft("list", "map", family, "excise", name).count("timeout ")


@pytest.fixture
def wire(namespaces, start):
    return Wire(namespaces, start)


@pytest.fixture
def shaped(wire):
    enforcer = wire.enforcer()
    enforcer.open()
    enforcer.set_guards([], [SERVICE])
    yield enforcer
    enforcer.close(keep=True)


def measured(client, seconds):
    """Return bytes per second and the longest pause, from a client's next line on."""
    first = client.until(lambda line: True, 5.0)[0]
    end = float(first[0]) + seconds
    lines = client.until(lambda line: float(line[0]) >= end, seconds + 10.0)
    rate = (int(lines[-1][1]) - int(first[1])) / (float(lines[-1][0]) - float(first[0]))
    return rate, max(float(line[2]) for line in lines)


def until_bytes(client, total):
    client.until(lambda line: int(line[1]) >= total, 10.0)


@pytest.mark.parametrize(("source", "throttled"), [(SLOW, SLOW), (SLOW6, "2001:db8::/64")])
def test_a_rate_is_held_without_pauses_and_others_are_left_alone(wire, shaped, source, throttled):
    wire.serve()
    slow, fast = wire.call(source), wire.call(FAST)
    until_bytes(slow, 10 * RATE)
    shaped.apply(plan(gather([element(throttled)]), shaped.read()))
    measured(slow, 4.0)
    rate, pause_s = measured(slow, 6.0)
    assert 0.85 * RATE < rate < 1.15 * RATE
    assert pause_s < 2.0  # policed, TCP's timer stops it for longer
    assert measured(fast, 1.0)[0] > 20 * RATE
    shaped.apply(plan(gather([element(throttled, 4 * RATE)]), shaped.read()))
    measured(slow, 2.0)
    assert 0.85 * 4 * RATE < measured(slow, 4.0)[0] < 1.15 * 4 * RATE
    shaped.apply(plan(ActiveSet(), shaped.read()))
    until_bytes(slow, 100 * RATE)


# sends datagrams as fast as it may for two seconds; tells how many were refused
DATAGRAMS = """
import socket, sys, time

s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", int(sys.argv[2])))
refused, end = 0, time.monotonic() + 2.0
while time.monotonic() < end:
    try:
        s.sendto(bytes(1000), (sys.argv[1], 9))
    except PermissionError:
        refused += 1
    time.sleep(0.001)
print("refused", refused, flush=True)
"""


@pytest.mark.parametrize("shaping", [True, False])
def test_who_sends_datagrams_is_refused_them_by_the_policer_alone(wire, shaping):
    enforcer = wire.enforcer() if shaping else Nftables(netns=wire.host.name)
    enforcer.open()
    enforcer.set_guards([], [SERVICE])
    enforcer.apply(ChangeSet(additions=(element(SLOW, 10_240),)))
    argv = (sys.executable, "-c", DATAGRAMS, SLOW, str(SERVICE))
    refused = int(wire.host.run(*argv).stdout.split()[1])
    enforcer.close(keep=True)
    assert shaping == (refused == 0)


def test_the_interface_gets_its_default_back_and_the_policer_stays(wire):
    assert "noqueue" == wire.root()
    enforcer = wire.enforcer()
    enforcer.open()
    enforcer.set_guards([], [SERVICE])
    enforcer.apply(ChangeSet(additions=(element(SLOW),)))
    assert ("htb", {1: "1638Kbit"}) == (wire.root(), wire.classes())
    enforcer.close(keep=True)
    assert "noqueue" == wire.root()
    assert SLOW in wire.host.nft("list set ip excise egr")
    assert "elements" not in wire.host.nft("list set ip excise shaped")


def test_what_a_killed_daemon_left_is_taken_over(wire):
    killed = wire.enforcer()
    killed.open()
    killed.set_guards([], [SERVICE])
    wish = gather([element(SLOW), element("2001:db8:1::/64")])
    killed.replace(wish)
    heir = wire.enforcer()
    heir.open()  # the killed one's sockets are still open, which takes nothing from it
    assert ("htb", {}, 0) == (wire.root(), wire.classes(), wire.element_count("cls"))
    assert SLOW in wire.host.nft("list set ip excise egr")  # policed until told what is wished for
    heir.replace(wish)
    assert ("htb", {1, 2}) == (wire.root(), set(wire.classes()))
    assert (1, 1) == (wire.element_count("cls"), wire.element_count("cls_net", "ip6"))
    heir.lift_all()
    assert "noqueue" == wire.root()
    assert "" == wire.host.nft("list", "ruleset")
    heir.close(keep=True)
    killed._htb.close()
    killed._nft._shut()


def test_what_a_killed_daemon_left_is_removed_where_shaping_was_switched_off(wire):
    killed = Htb(("wire0",), netns=wire.host.name)
    killed.open()
    killed.close()
    assert "htb" == wire.root()
    other = Htb((), netns=wire.host.name)
    other.open()
    other.close()
    assert "noqueue" == wire.root()


def test_a_discipline_that_somebody_configured_is_refused_and_left_alone(wire):
    wire.tc("qdisc", "add", "dev", "wire0", "root", "handle", "1:", "htb", "default", "7")
    before = wire.tc("qdisc", "show", "dev", "wire0").partition("direct_packets_stat")[0]
    with pytest.raises(EnforceError, match=r"somebody configured htb 1: on wire0.*tc qdisc del"):
        wire.enforcer().open()
    assert before in wire.tc("qdisc", "show", "dev", "wire0")
    assert "" == wire.host.nft("list", "ruleset")


def test_an_interface_that_is_not_there_is_said(wire):
    with pytest.raises(EnforceError, match="no interface eth7; correct"):
        wire.enforcer("wire0", "eth7").open()
    assert "noqueue" == wire.root()


def look_twice(shaped):
    """Let classes drain, then be removed."""
    for _ in range(2):
        shaped._looked = 0.0
        assert shaped.in_sync()


def test_classes_are_freed_when_a_throttle_is_lifted_or_lapses(wire, shaped):
    now = time.time()
    shaped._clock = lambda: now
    shaped.apply(ChangeSet(additions=(element(SLOW), element(FAST, ttl_s=1.0))))
    assert {1, 2} == set(wire.classes())
    now += 10.0
    look_twice(shaped)
    assert {1} == set(wire.classes())
    shaped.apply(plan(ActiveSet(), shaped.read()))
    look_twice(shaped)
    assert {} == wire.classes()
    assert SLOW not in wire.host.nft("list map ip excise cls")
    shaped.apply(ChangeSet(additions=(element("192.0.2.8/29"),)))
    assert 1 == len(wire.classes())


def test_a_throttle_for_which_there_is_no_class_left_is_policed(wire):
    enforcer = wire.enforcer(most=1)
    enforcer.open()
    enforcer.set_guards([], [SERVICE])
    wire.serve()
    slow = wire.call(SLOW)
    until_bytes(slow, 10 * RATE)
    enforcer.apply(ChangeSet(additions=(element(FAST),)))
    enforcer.apply(ChangeSet(additions=(element(SLOW),)))
    assert 1 == len(wire.classes())
    assert [("shaping.lost", "*")] == [(event, words["interface"]) for event, words in wire.told]
    measured(slow, 4.0)
    assert 0.5 * RATE < measured(slow, 6.0)[0] < 1.6 * RATE
    enforcer.close(keep=False)


def test_a_discipline_that_was_taken_away_is_put_back_with_its_classes(wire, shaped):
    shaped.apply(ChangeSet(additions=(element(SLOW), element("2001:db8:1::/64"))))
    wire.tc("qdisc", "del", "dev", "wire0", "root")
    shaped._looked = 0.0
    assert shaped.in_sync()
    assert ("htb", {1, 2}) == (wire.root(), set(wire.classes()))
    wire.host.nft("flush ruleset")
    assert not shaped.in_sync()
    shaped.replace(gather([element(SLOW)]))
    look_twice(shaped)
    assert ({1}, 1) == (set(wire.classes()), wire.element_count("cls"))
    assert "wire0" in wire.host.nft("list set ip excise shaped")


def test_an_interface_that_somebody_took_over_is_policed_and_told_of(wire, shaped):
    shaped.apply(ChangeSet(additions=(element(SLOW),)))
    wire.tc("qdisc", "replace", "dev", "wire0", "root", "handle", "1:", "htb", "default", "7")
    shaped._looked = 0.0
    shaped.in_sync()
    assert "elements" not in wire.host.nft("list set ip excise shaped")
    ((event, words),) = wire.told
    assert ("shaping.lost", "wire0") == (event, words["interface"])
    assert "1:" in wire.tc("qdisc", "show", "dev", "wire0")


def test_a_class_is_what_tc_makes_of_the_same_rate(wire, shaped):
    shaped.apply(ChangeSet(additions=(element(SLOW, 20_480),)))
    ours = wire.tc("class", "show", "dev", "wire0")
    change = "class change dev wire0 parent e8c5: classid e8c5:1 htb rate 20480bps burst 3200b"
    wire.tc(*change.split(), "cburst", "3200b", "quantum", "1514")
    assert ours == wire.tc("class", "show", "dev", "wire0")


def test_maps_list_as_nft_reads_them(wire, shaped):
    shaped.apply(ChangeSet(additions=(element(SLOW), element("192.0.2.128/25"))))
    listed = wire.host.nft("-s", "list", "ruleset")
    assert f"{SLOW} timeout" in listed
    assert ": e8c5:1" in listed
    assert ": e8c5:2" in listed
    wire.host.nft("-f", "-", stdin="flush ruleset\n" + listed)
    assert listed == wire.host.nft("-s", "list", "ruleset")
