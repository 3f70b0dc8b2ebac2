"""What both backends promise, whatever the kernel calls it."""

import subprocess
import sys
import time

import pytest

from excise.decide.plan import ActiveSet, ChangeSet, Element, Measure, gather, plan
from excise.decide.span import Span, parse_span
from excise.enforce.ipset import Ipset
from excise.enforce.nft import Nftables
from excise.model.settings import DEFAULT_TIERS

pytestmark = pytest.mark.netns

BACKENDS = {
    "nftables": lambda netns: Nftables(netns=netns),
    "ipset": lambda netns: Ipset(DEFAULT_TIERS, netns=netns),
}


def element(measure, text, rate=0, ttl_s=3600.0):
    return Element(measure, parse_span(text), rate, time.time() + ttl_s)


def piece(measure, first, last, rate):
    span = Span(4, parse_span(first).start, parse_span(last).start)
    return Element(measure, span, rate, time.time() + 3600.0)


def some():
    return gather(
        [
            element(Measure.DROP, "203.0.113.7"),
            element(Measure.DROP, "198.51.100.0/24"),
            element(Measure.DROP, "255.255.255.0/24"),
            element(Measure.DROP, "2001:db8:1::/64"),
            element(Measure.DROP, "2001:db8:2::1"),
            element(Measure.EGRESS, "203.0.113.9", 51_200),
            element(Measure.EGRESS, "203.0.113.128/26", 5_120),
            piece(Measure.EGRESS, "192.0.2.1", "192.0.2.119", 5_120),
            element(Measure.INGRESS, "2001:db8:3::/48", 2_048),
            element(Measure.CONNECTIONS, "203.0.113.128/25", 360),
            element(Measure.CONNECTIONS, "2001:db8:3::9", 30),
        ]
    )


def same(wish, held):
    """Whether two sets differ by no more than the time it took to read one."""
    return plan(wish, held).is_empty


@pytest.fixture(params=BACKENDS)
def make(request, namespace):
    """Make enforcers of a backend in a fresh namespace, not open yet."""
    made = []

    def begin():
        made.append(BACKENDS[request.param](namespace.name))
        return made[-1]

    yield begin
    for enforcer in made:
        enforcer.close(keep=True)


@pytest.fixture
def enforcer(make):
    opened = make()
    opened.open()
    return opened


def test_what_was_applied_is_what_is_read(enforcer):
    wish = some()
    enforcer.apply(plan(wish, enforcer.read()))
    assert same(wish, enforcer.read())
    assert enforcer.in_sync()


def test_what_was_replaced_is_what_is_read(enforcer):
    enforcer.apply(plan(some(), enforcer.read()))
    wish = gather([*some(), element(Measure.DROP, "192.0.2.200")][3:])
    enforcer.replace(wish)
    assert same(wish, enforcer.read())
    assert enforcer.in_sync()


@pytest.mark.parametrize(
    "after",
    [
        pytest.param([], id="everything lifted"),
        pytest.param([element(Measure.EGRESS, "203.0.113.9", 5_120)], id="another rate"),
        pytest.param([element(Measure.DROP, "198.51.100.0/25")], id="a narrower network"),
        pytest.param([element(Measure.DROP, "198.51.96.0/19")], id="a wider network"),
        pytest.param([piece(Measure.EGRESS, "192.0.2.9", "192.0.2.99", 5_120)], id="a hole"),
        pytest.param([element(Measure.DROP, "203.0.113.7", ttl_s=7200.0)], id="a later deadline"),
        pytest.param([element(Measure.DROP, "203.0.113.7", ttl_s=900.0)], id="an earlier deadline"),
    ],
)
def test_a_change_takes_the_kernel_from_one_state_to_another(enforcer, after):
    enforcer.apply(plan(some(), enforcer.read()))
    enforcer.apply(plan(gather(after), enforcer.read()))
    assert same(gather(after), enforcer.read())
    assert enforcer.in_sync()


def test_doing_the_same_again_is_no_error(enforcer):
    change = ChangeSet(additions=tuple(some()))
    enforcer.apply(change)
    enforcer.apply(change)
    assert same(some(), enforcer.read())


def test_lifting_what_has_just_lapsed_is_no_error(enforcer):
    gone = element(Measure.DROP, "203.0.113.7")
    enforcer.apply(ChangeSet(removals=(gone, element(Measure.DROP, "198.51.100.0/24"))))
    assert ActiveSet() == enforcer.read()


def test_elements_lapse_by_themselves_and_are_not_missed(enforcer):
    short = [element(Measure.DROP, text, ttl_s=1.0) for text in ("203.0.113.7", "198.51.100.0/24")]
    enforcer.apply(ChangeSet(additions=tuple(short)))
    deadline = time.monotonic() + 10
    while len(enforcer.read()) and time.monotonic() < deadline:
        assert enforcer.in_sync()
    assert ActiveSet() == enforcer.read()
    enforcer.apply(ChangeSet(additions=(element(Measure.DROP, "198.51.0.0/16"),)))
    assert ["198.51.0.0/16"] == [str(e.span) for e in enforcer.read()]


def test_a_restart_takes_over_what_is_there_with_its_deadlines(make):
    first, second = make(), make()
    first.open()
    first.set_guards(["192.0.2.0/24", "2001:db8:9::/48"], [443])
    first.apply(plan(some(), first.read()))
    first.close(keep=True)
    second.open()
    assert same(some(), second.read())
    assert (first._allow, first._ports) == (second._allow, second._ports)


def test_lifting_all_leaves_nothing_to_enforce(enforcer):
    enforcer.apply(plan(some(), enforcer.read()))
    enforcer.lift_all()
    assert ActiveSet() == enforcer.read()
    assert enforcer.in_sync()


@pytest.mark.parametrize("port", [0, 65_536, -1])
def test_what_is_no_port_is_refused(enforcer, port):
    with pytest.raises(ValueError, match="not a port"):
        enforcer.set_guards([], [port])


def test_ten_thousand_addresses_and_a_thousand_networks(enforcer):
    until = time.time() + 3600
    base = parse_span("198.18.0.0/15").start
    hosts = [Element(Measure.DROP, Span(4, base + n, base + n), 0, until) for n in range(10_000)]
    first = parse_span("2001:db8::/32").start
    nets = [
        Element(
            Measure.EGRESS, Span(6, first + (n << 64), first + (n << 64) + 2**64 - 1), 5_120, until
        )
        for n in range(1_000)
    ]
    wish = gather([*hosts, *nets])
    enforcer.apply(plan(wish, enforcer.read()))
    assert same(wish, enforcer.read())
    enforcer.replace(wish)
    assert same(wish, enforcer.read())
    enforcer.apply(plan(ActiveSet(), enforcer.read()))
    assert ActiveSet() == enforcer.read()


def test_counters_are_told_by_target_but_for_single_dropped_addresses(enforcer):
    held = list(some())
    enforcer.apply(plan(some(), enforcer.read()))
    counted = enforcer.counters(held)
    asked = {(e.measure, e.span) for e in held}
    drops = {(e.measure, e.span) for e in held if e.measure is Measure.DROP}
    assert asked - drops <= set(counted) <= asked
    assert (Measure.DROP, parse_span("198.51.100.0/24")) in counted
    assert (Measure.DROP, parse_span("203.0.113.7")) not in counted
    assert {(0, 0)} == {(t.packets, t.bytes) for t in counted.values()}


WITHOUT_RIGHTS = """
import os, sys
os.setgid(65534); os.setuid(65534)
from excise.enforce.ipset import Ipset
from excise.enforce.nft import Nftables
from excise.errors import PrivilegeError
try:
    {"nftables": Nftables, "ipset": Ipset}[sys.argv[1]]().open()
except PrivilegeError as e:
    print("refused:", e)
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_the_right_it_says_so_and_does_not_hang(namespace, backend):
    done = subprocess.run(
        namespace.command(sys.executable, "-c", WITHOUT_RIGHTS, backend),
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert done.stdout.startswith("refused:")
    assert "CAP_NET_ADMIN" in done.stdout
