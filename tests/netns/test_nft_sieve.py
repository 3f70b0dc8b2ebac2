"""The sieve before the sets of networks, with real packets: no network that is held is missed."""

import socket
import threading
import time

import pytest
from pyroute2 import netns

from excise.decide.plan import ChangeSet, Element, Measure, gather
from excise.decide.span import Span, parse_span
from excise.enforce.nft import Nftables
from excise.enforce.nft_ground import REST_S
from excise.enforce.nft_sieve import MOST

pytestmark = pytest.mark.netns

PORT = 443
SERVER = {4: "192.0.2.1", 6: "2001:db8::1"}
HONEST = {4: "192.0.2.10", 6: "2001:db8::10"}
SIEVED = {4: "ip saddr & 255.255.0.0 == @near", 6: "ip6 saddr & ffff:ffff:: == @near"}


EXCHANGED = """\
delete element ip excise block_net { 198.51.100.0/24 }
add element ip excise block_net { 203.0.113.0/24 timeout 1h }
"""


class Clock:
    """Time that passes when told."""

    def __init__(self):
        self.now = time.time()

    def __call__(self):
        return self.now


def drop(text):
    span = parse_span(text) if isinstance(text, str) else text
    return Element(Measure.DROP, span, 0, time.time() + 3600.0)


def socket_in(namespace, family, address, port):
    """Return a bound UDP socket in a namespace: a thread may be elsewhere than its process."""
    made = []

    def make():
        netns.setns(namespace.name)
        one = socket.socket(family, socket.SOCK_DGRAM)
        one.settimeout(5.0)
        one.setsockopt(socket.SOL_IP, 19, 1)  # IP_TRANSPARENT: any address may be ours
        one.bind((address, port))
        made.append(one)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made[0]


class Wire:
    """A serving namespace and one from which any source can send to it."""

    def __init__(self, namespaces):
        self.server, self.client = namespaces(), namespaces()
        wire = ["link", "add", "wire0", "type", "veth", "peer", "name", "wire0"]
        self.server.ip(*wire, "netns", self.client.name)
        for space, mine in ((self.server, SERVER), (self.client, HONEST)):
            space.ip("addr", "add", f"{mine[4]}/24", "dev", "wire0")
            space.ip("addr", "add", f"{mine[6]}/64", "dev", "wire0", "nodad")
            space.ip("link", "set", "wire0", "up")
            space.ip("link", "set", "lo", "up")
        for version in (4, 6):
            self.server.ip(f"-{version}", "route", "add", "default", "via", HONEST[version])
        families = {4: socket.AF_INET, 6: socket.AF_INET6}
        self._families = families
        self._listening = {
            v: socket_in(self.server, family, SERVER[v], PORT) for v, family in families.items()
        }

    def reaches(self, source):
        """Whether a packet of this source gets to the service."""
        version = 6 if ":" in source else 4
        # what an honest client sends next says that the first one was dropped, and not late
        for address, word in ((source, b"first"), (HONEST[version], b"last")):
            with socket_in(self.client, self._families[version], address, 0) as sending:
                sending.sendto(word, (SERVER[version], PORT))
        heard = [self._listening[version].recv(100)]
        while heard[-1] != b"last":
            heard.append(self._listening[version].recv(100))
        return b"first" in heard

    def close(self):
        for one in self._listening.values():
            one.close()


@pytest.fixture
def wire(namespaces):
    made = Wire(namespaces)
    yield made
    made.close()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def nft(wire, clock):
    enforcer = Nftables(netns=wire.server.name, clock=clock)
    enforcer.open()
    enforcer.set_guards([], [PORT])
    yield enforcer
    enforcer.close(keep=True)


def listed(wire):
    return wire.server.nft("-s", "list", "ruleset")


def near(wire, version=4):
    """Return what nft lists of the sieve's entries."""
    family = "ip" if version == 4 else "ip6"
    text = wire.server.nft("list", "set", family, "excise", "near")
    _, _, entries = text.partition("elements = {")
    return {word.strip() for word in entries.partition("}")[0].split(",")} - {""}


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        ("198.51.100.0/24", ["198.51.100.0", "198.51.100.255"], ["198.51.99.255", "198.51.101.0"]),
        ("198.18.0.0/15", ["198.18.0.0", "198.19.255.255"], ["198.17.255.255", "198.20.0.0"]),
        ("203.0.0.0/8", ["203.0.113.7", "203.255.0.1"], ["202.255.0.1", "204.0.0.1"]),
        ("2001:db8:1::/48", ["2001:db8:1::", "2001:db8:1:ffff::9"], ["2001:db8:2::", "2001:db9::"]),
        ("2001:db8::/31", ["2001:db9::1", "2001:db9:ffff::9"], ["2001:dba::", "2001:db7:ffff::"]),
    ],
)
def test_packets_of_a_network_are_dropped_and_those_of_its_neighbours_pass(
    wire, nft, network, inside, outside
):
    nft.set_guards([HONEST[6], SERVER[6]], [PORT])
    nft.apply(ChangeSet(additions=(drop(network),)))
    version = parse_span(network).version
    assert SIEVED[version] in listed(wire)
    found = {source: wire.reaches(source) for source in (*inside, *outside)}
    assert {**dict.fromkeys(inside, False), **dict.fromkeys(outside, True)} == found
    assert nft.in_sync()


@pytest.mark.parametrize(
    ("network", "inside"), [("192.0.0.0/2", "203.0.113.7"), ("2001::/16", "2001:dba::7")]
)
def test_what_is_too_wide_is_asked_without_a_sieve_until_it_is_gone(
    wire, nft, clock, network, inside
):
    nft.set_guards([HONEST[4], HONEST[6], SERVER[4], SERVER[6]], [PORT])
    version = parse_span(network).version
    both = (drop("198.51.100.0/24" if version == 6 else "2001:db8:1::/48"), drop(network))
    nft.apply(ChangeSet(additions=both))
    assert [version == 6, version == 4] == [SIEVED[v] in listed(wire) for v in (4, 6)]
    assert not wire.reaches(inside)
    heir = Nftables(netns=wire.server.name)
    heir.open()
    assert SIEVED[version] not in listed(wire)
    heir.close(keep=True)
    assert nft.in_sync()
    assert not wire.reaches(inside)
    narrow = drop("203.0.113.0/24" if version == 4 else "2001:dba::/48")
    nft.apply(ChangeSet(removals=(drop(network),), additions=(narrow,)))
    assert SIEVED[version] not in listed(wire)
    clock.now += REST_S
    assert nft.in_sync()
    assert SIEVED[version] in listed(wire)
    assert not wire.reaches(inside)


def test_networks_in_too_many_places_are_asked_without_a_sieve(wire, nft, clock):
    spans = [Span(4, (n << 16) + 256, (n << 16) + 511) for n in range(0x0B00, 0x0B00 + MOST + 1)]
    many = [drop(span) for span in spans]
    nft.apply(ChangeSet(additions=tuple(many[:-1])))
    assert SIEVED[4] in listed(wire)
    nft.apply(ChangeSet(additions=(many[-1],)))
    assert SIEVED[4] not in listed(wire)
    assert [False, False] == [wire.reaches(source) for source in ("11.0.1.5", "27.0.1.5")]
    nft.apply(ChangeSet(removals=tuple(many[1:])))
    clock.now += REST_S
    assert nft.in_sync()
    assert SIEVED[4] in listed(wire)
    assert {"11.0.0.0"} == near(wire)
    assert [False, True] == [wire.reaches(source) for source in ("11.0.1.5", "27.0.1.5")]


@pytest.mark.parametrize(
    "meddling",
    [
        "delete element ip excise near { 198.51.0.0 }",
        "flush set ip excise near",
        "flush table ip excise; delete set ip excise near",
        "flush set ip excise near; flush set ip excise block_net",
        "flush set ip excise near; add element ip excise near { 198.51.100.7 }",
    ],
)
def test_what_is_taken_from_the_sieve_is_put_back(wire, nft, meddling):
    nft.replace(gather([drop("198.51.100.0/24"), drop("203.0.113.0/24")]))
    wire.server.nft(meddling)
    assert not nft.in_sync()
    nft.repair()
    assert not wire.reaches("198.51.100.7")
    assert not wire.reaches("203.0.113.7")
    assert nft.in_sync()


@pytest.mark.parametrize(
    ("meddling", "source"),
    [
        ("add element ip excise block_net { 203.0.113.0/24 timeout 1h }", "203.0.113.7"),
        ("add element ip excise block_net { 64.0.0.0/2 timeout 1h }", "100.64.0.1"),
        ("add element ip6 excise block_net { 2001:dba::/48 timeout 1h }", "2001:dba::7"),
        (EXCHANGED, "203.0.113.7"),
    ],
    ids=["another network", "a wide one", "of the other version", "one for another"],
)
def test_a_network_put_in_by_hand_bites_after_the_next_look(wire, nft, meddling, source):
    nft.apply(ChangeSet(additions=(drop("198.51.100.0/24"),)))
    wire.server.nft(meddling)
    assert nft.in_sync()
    assert not wire.reaches(source)
    assert nft.in_sync()


@pytest.mark.parametrize(
    "meddling",
    [
        "flush set ip excise near",
        "flush table ip excise; delete set ip excise near",
        "add element ip excise block_net { 203.0.113.0/24 timeout 1h }",
    ],
)
def test_a_restart_fills_the_sieve_with_what_is_held(wire, nft, meddling):
    nft.apply(ChangeSet(additions=(drop("198.51.100.0/24"), drop("203.0.112.0/24"))))
    wire.server.nft(meddling)
    heir = Nftables(netns=wire.server.name)
    heir.open()
    held = [str(span) for span in heir.read().held[Measure.DROP]]
    assert "198.51.100.0/24" in held
    assert [] == [where for where in held if wire.reaches(where.replace("0/24", "7"))]
    assert {"198.51.0.0", "203.0.0.0"} == near(wire)
    assert heir.in_sync()
    heir.close(keep=True)


def test_tables_that_are_built_anew_have_their_sieve_filled(wire, nft):
    wish = gather([drop("198.51.100.0/24"), drop("2001:dba::/48")])
    nft.replace(wish)
    wire.server.nft("flush ruleset")
    assert not nft.in_sync()
    nft.repair()
    assert ({"198.51.0.0"}, {"2001:dba::"}) == (near(wire, 4), near(wire, 6))
    assert [False, False] == [wire.reaches(s) for s in ("198.51.100.7", "2001:dba::7")]
    nft.lift_all()
    nft.replace(wish)
    assert ({"198.51.0.0"}, {"2001:dba::"}) == (near(wire, 4), near(wire, 6))


def test_what_no_network_needs_any_more_is_taken_out_later(wire, nft, clock):
    one, other = drop("198.51.100.0/24"), drop("203.0.113.0/24")
    nft.apply(ChangeSet(additions=(one, other)))
    nft.apply(ChangeSet(removals=(one,)))
    assert {"198.51.0.0", "203.0.0.0"} == near(wire)
    clock.now += REST_S
    assert nft.in_sync()
    assert {"203.0.0.0"} == near(wire)
    nft.apply(ChangeSet(additions=(one,)))
    assert {"198.51.0.0", "203.0.0.0"} == near(wire)
    assert not wire.reaches("198.51.100.7")
    assert nft.in_sync()
