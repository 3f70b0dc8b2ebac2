"""What the kernel's sets hold, as excise says it and as ipset(8) and pyroute2 say it."""

import re
import time

import pytest

from excise.decide.plan import ActiveSet, ChangeSet, Element, Measure, gather, plan
from excise.decide.span import Span, parse_span
from excise.enforce import ipset as module
from excise.enforce.ipset import Ipset
from excise.enforce.ipset_rules import setup, undo
from excise.errors import DivergedError, ForeignTableError
from excise.model.settings import DEFAULT_TIERS

pytestmark = pytest.mark.netns

SAVED = """\
create excise-ports bitmap:port range 0-65535
add excise-ports 443
add excise-ports 8443
create excise4-allow hash:net family inet hashsize 1024 maxelem 262144
add excise4-allow 192.0.2.0/25
create excise4-block hash:ip family inet hashsize 1024 maxelem 262144 timeout 0
add excise4-block 203.0.113.7 timeout 3600
create excise4-block-net hash:net family inet hashsize 1024 maxelem 262144 timeout 0 counters
add excise4-block-net 198.51.100.0/24 timeout 3600 packets 0 bytes 0
create excise4-net hash:net family inet hashsize 1024 maxelem 262144 timeout 0
add excise4-net 192.0.2.1 timeout 3600
add excise4-net 192.0.2.2/31 timeout 3600
create excise4-egr-5120-28 hash:net family inet hashsize 1024 maxelem 262144 timeout 0 counters
add excise4-egr-5120-28 192.0.2.1 timeout 3600 packets 0 bytes 0
add excise4-egr-5120-28 192.0.2.2/31 timeout 3600 packets 0 bytes 0
create excise6-newc-360 hash:ip family inet6 hashsize 1024 maxelem 262144 timeout 0 counters
add excise6-newc-360 2001:db8::9 timeout 3600 packets 0 bytes 0
"""


def element(measure, text, rate=0, ttl_s=3600.0):
    return Element(measure, parse_span(text), rate, time.time() + ttl_s)


def some():
    return gather(
        [
            element(Measure.DROP, "203.0.113.7"),
            element(Measure.DROP, "198.51.100.0/24"),
            element(Measure.EGRESS, "203.0.113.9", 51_200),
            element(Measure.EGRESS, "203.0.113.128/26", 5_120),
            element(Measure.INGRESS, "2001:db8:3::/48", 2_048),
        ]
    )


def same(wish, held):
    return plan(wish, held).is_empty


def looks(ipset):
    """Whether the sets agree, looked at now."""
    ipset._look_at = 0.0
    return ipset.in_sync()


@pytest.fixture
def ipset(namespace):
    enforcer = Ipset(DEFAULT_TIERS, netns=namespace.name)
    enforcer.open()
    yield enforcer
    enforcer.close(keep=True)


def plain(listing):
    """Return a listing's lines without what passes: seconds, and how the kernel hashes."""
    timed = re.sub(r"timeout 35\d\d", "timeout 3600", listing)
    return [line.split(" bucketsize")[0] for line in timed.splitlines()]


def saved(namespace):
    """Return what `ipset save` says."""
    return plain(namespace.ipset("save"))


def test_ipset_saves_what_was_asked_for(namespace, ipset):
    ipset.set_guards(["192.0.2.0/26", "192.0.2.64/26"], [443, 8443])
    start = parse_span("192.0.2.1").start
    ipset.apply(
        ChangeSet(
            additions=(
                element(Measure.DROP, "203.0.113.7"),
                element(Measure.DROP, "198.51.100.0/24"),
                Element(Measure.EGRESS, Span(4, start, start + 2), 5_120, time.time() + 3600),
                element(Measure.CONNECTIONS, "2001:db8::9", 360),
            )
        )
    )
    lines = saved(namespace)
    assert [] == [line for line in SAVED.splitlines() if line not in lines]
    added = [line for line in lines if line.startswith("add")]
    assert sorted(line for line in SAVED.splitlines() if line.startswith("add")) == sorted(added)


def test_a_saved_listing_restores_the_same(namespace, ipset):
    ipset.set_guards(["192.0.2.0/24", "2001:db8:9::/48"], [443])
    ipset.apply(plan(some(), ipset.read()))
    listed = namespace.ipset("save")
    ipset.lift_all()
    namespace.ipset("restore", stdin=listed)
    assert plain(listed) == saved(namespace)


def test_a_renewal_moves_the_deadline_and_keeps_the_counter(namespace, ipset):
    ipset.apply(ChangeSet(additions=(element(Measure.EGRESS, "203.0.113.9", 5_120),)))
    counted = ["timeout", "9", "packets", "7", "bytes", "700"]
    namespace.ipset("add", "-exist", "excise4-egr-5120", "203.0.113.9", *counted)
    ipset.apply(ChangeSet(additions=(element(Measure.EGRESS, "203.0.113.9", 5_120, 7200.0),)))
    listed = namespace.ipset("list", "excise4-egr-5120")
    assert re.search(r"timeout 7(?:200|19[0-9]) packets 7 bytes 700", listed), listed
    (counted,) = ipset.counters(ipset.read()).traffic.values()
    assert 700 == counted.bytes


def test_whole_sets_are_swapped_where_much_differs(namespace, ipset, monkeypatch):
    monkeypatch.setattr(module, "IN_PLACE_UP_TO", 2)
    ipset.set_guards(["192.0.2.0/24", "2001:db8:9::/48"], [443])
    ipset.apply(plan(some(), ipset.read()))
    wish = gather(Element(e.measure, e.span, e.rate, e.until + 600) for e in some())
    assert 7 == ipset.replace(wish)
    assert same(wish, ipset.read())
    assert 0 == ipset.replace(wish)
    assert looks(ipset)
    assert "192.0.2.0/24" in namespace.ipset("list", "excise4-allow")
    assert ".new" not in namespace.ipset("list", "-n")


@pytest.mark.parametrize(
    "meddling",
    [
        "flush",
        "flush excise4-block",
        "flush excise4-net",
        "flush excise4-allow",
        "flush excise-ports",
        "destroy",
        "destroy excise4-block-net",
        "destroy excise6-allow",
        "add excise4-block 192.0.2.77 timeout 999",
        "add excise4-egr-5120-24 192.0.2.77 timeout 999",
        "add excise4-allow 203.0.113.0/24",
        "del excise4-block 203.0.113.7",
        "rename excise4-block elsewhere",
    ],
)
def test_what_others_did_is_seen_and_put_right(namespace, ipset, meddling):
    wish = some()
    ipset.set_guards(["192.0.2.0/24", "2001:db8:9::/48"], [443])
    ipset.apply(plan(wish, ipset.read()))
    assert looks(ipset)
    before = saved(namespace)
    namespace.ipset(*meddling.split())
    assert not looks(ipset)
    assert ipset.repair() > 0
    assert looks(ipset)
    assert same(wish, ipset.read())
    assert set() == set(before) - set(saved(namespace))


def test_sets_of_others_are_left_alone(namespace, ipset):
    namespace.ipset("create", "excise-mine", "hash:ip")
    namespace.ipset("add", "excise-mine", "192.0.2.1")
    assert looks(ipset)
    ipset.replace(some())
    ipset.lift_all()
    assert ["excise-mine"] == namespace.ipset("list", "-n").split()


def test_a_set_of_our_name_made_by_somebody_else_is_refused(namespace):
    namespace.ipset("create", "excise4-block", "hash:net")
    stranger = Ipset(DEFAULT_TIERS, netns=namespace.name)
    with pytest.raises(ForeignTableError, match="ipset 'excise4-block' is a hash:net"):
        stranger.open()
    assert ["excise4-block"] == namespace.ipset("list", "-n").split()
    namespace.ipset("destroy", "excise4-block")
    stranger.open()
    stranger.close(keep=False)
    assert "" == namespace.ipset("list", "-n")


def test_a_full_set_is_told_and_gets_more_room(namespace, ipset, monkeypatch):
    monkeypatch.setattr(module, "MAXELEM", 64)
    namespace.ipset("destroy")
    ipset.replace(gather([]))
    until, base = time.time() + 3600, parse_span("198.18.0.0/15").start
    wish = gather(Element(Measure.DROP, Span(4, base + n, base + n), 0, until) for n in range(200))
    with pytest.raises(DivergedError, match="full"):
        ipset.apply(plan(wish, ActiveSet()))
    assert 200 - 64 <= ipset.replace(wish) <= 200
    assert same(wish, ipset.read())
    assert "maxelem 512" in namespace.ipset("list", "-t", "excise4-block")


def test_what_did_not_take_is_told(ipset, monkeypatch):
    monkeypatch.setattr(module.Ipset, "_commands", lambda self, steps: [])
    with pytest.raises(DivergedError, match="7 of 7"):
        ipset.apply(ChangeSet(additions=tuple(some())))


def test_a_removal_that_did_not_take_is_told(ipset, monkeypatch):
    ipset.apply(ChangeSet(additions=tuple(some())))
    monkeypatch.setattr(module.Ipset, "_commands", lambda self, steps: [])
    with pytest.raises(DivergedError, match="7 of 7"):
        ipset.apply(ChangeSet(removals=tuple(some())))


def test_what_a_crash_left_half_filled_is_cleared_away(namespace, ipset):
    ipset.apply(ChangeSet(additions=tuple(some())))
    namespace.ipset("create", "excise4-block.new", "hash:ip")
    ipset.open()
    assert "excise4-block.new" not in namespace.ipset("list", "-n").split()
    namespace.ipset("create", "excise4-block.new", "hash:ip")
    ipset.lift_all()
    assert "" == namespace.ipset("list", "-n")


BUILT_IN = re.compile(r"-A [A-Z]+ -j excise-")


def rules(namespace, tools, tool):
    """Return the rules and chains that a tool saves, without counters and dates."""
    lines = namespace.shell(f"{tool}-save", tools).splitlines()
    return [line.split(" [")[0] for line in lines if line[:1] in {"*", ":", "-"}]


@pytest.mark.parametrize("flavour", ["legacy", "nft"])
def test_rules_are_set_up_twice_alike_referred_to_and_undone(
    namespace, iptables, flavour, monkeypatch
):
    tools = iptables[flavour]
    ipset = Ipset(DEFAULT_TIERS, netns=namespace.name)
    ipset.open()
    ipset.set_guards(["192.0.2.0/24"], [443])
    wish = some()  # once: what is made later lasts longer
    ipset.apply(ChangeSet(additions=tuple(wish)))
    assert looks(ipset)
    assert "excise doctor --iptables" in ipset.unmet()
    listings = []
    for _ in range(2):
        namespace.shell(setup(DEFAULT_TIERS), tools)
        listings.append([rules(namespace, tools, tool) for tool in ("iptables", "ip6tables")])
    first, second = listings
    assert first == second
    jumps = [[line.split()[1] for line in text if BUILT_IN.match(line)] for text in first]
    assert [["FORWARD", "OUTPUT", "POSTROUTING", "PREROUTING"]] * 2 == [sorted(j) for j in jumps]
    assert looks(ipset)
    assert "" == ipset.unmet()

    # a repair, sets swapped as a whole, and a restart leave the rules what they refer to
    monkeypatch.setattr(module, "IN_PLACE_UP_TO", -1)
    ipset.repair()
    ipset.close(keep=True)
    ipset.open()
    assert looks(ipset)
    assert ("", True) == (ipset.unmet(), same(wish, ipset.read()))

    # sets that rules refer to stay, empty: large ones by an exchange, small ones in place
    for most in (-1, 5_000):
        monkeypatch.setattr(module, "IN_PLACE_UP_TO", most)
        ipset.replace(wish)
        assert "" != "".join(line for line in saved(namespace) if line.startswith("add"))
        ipset.lift_all()
        assert [] == [line for line in saved(namespace) if line.startswith("add")]
    ipset.close(keep=True)
    for _ in range(2):
        namespace.shell(undo(), tools)
    assert "" == namespace.ipset("list", "-n")
    texts = [rules(namespace, tools, tool) for tool in ("iptables", "ip6tables")]
    assert [False, False] == ["excise" in str(text) for text in texts]


def test_rules_made_before_the_daemon_ran_are_taken_over(namespace, iptables):
    namespace.shell(setup(DEFAULT_TIERS), iptables["nft"])
    ipset = Ipset(DEFAULT_TIERS, netns=namespace.name)
    ipset.open()
    ipset.apply(ChangeSet(additions=tuple(some())))
    assert looks(ipset)
    assert "" == ipset.unmet()
    ipset.apply(ChangeSet(additions=(element(Measure.EGRESS, "203.0.113.9", 7_777),)))
    assert looks(ipset)
    assert "excise4-egr-7777" in ipset.unmet()
    ipset.close(keep=True)
