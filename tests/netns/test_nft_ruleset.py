"""What the kernel holds, as excise says it and as nft(8) says it."""

import json
import re
import subprocess
import sys
import time

import pytest

from excise.decide.plan import ActiveSet, ChangeSet, Element, Measure, gather, plan
from excise.decide.span import Span, merged, parse_span
from excise.enforce import nft_content as content
from excise.enforce.nft import Nftables
from excise.errors import DivergedError, ForeignTableError

pytestmark = pytest.mark.netns

LISTING = """\
table ip excise {
	comment "managed by excise"
	set allow {
		type ipv4_addr
		flags interval
		comment "always passes"
		elements = { 192.0.2.1, 192.0.2.64/26 }
	}

	set ports {
		type inet_service
		comment "service ports; no other traffic is touched"
		elements = { 443, 8443 }
	}

	set near {
		type ipv4_addr
		size 8192
		comment "where networks are held; asked before them"
		elements = { 198.51.0.0, 203.0.0.0 }
	}

	set block {
		type ipv4_addr
		flags timeout
		comment "addresses dropped"
		elements = { 203.0.113.7 timeout 1h }
	}

	set block_net {
		type ipv4_addr
		flags interval,timeout
		counter
		comment "networks dropped"
		elements = { 198.51.100.0/24 counter timeout 1h }
	}

	set egr {
		type ipv4_addr
		flags timeout
		limit rate over 1 mbytes/second burst 64 kbytes counter
		comment "bytes towards each address"
		elements = { 192.0.2.9 limit rate over 5 kbytes/second burst 64 kbytes counter timeout 1h }
	}

	set egr_net {
		type ipv4_addr
		flags interval,timeout
		limit rate over 1 mbytes/second burst 64 kbytes counter
		comment "bytes towards each network"
	}

	set igr {
		type ipv4_addr
		flags timeout
		limit rate over 1 mbytes/second burst 16 kbytes counter
		comment "bytes from each address"
	}

	set igr_net {
		type ipv4_addr
		flags interval,timeout
		limit rate over 1 mbytes/second burst 16 kbytes counter
		comment "bytes from each network"
	}

	set newc {
		type ipv4_addr
		flags timeout
		limit rate over 600/minute counter
		comment "connections from each address"
	}

	set newc_net {
		type ipv4_addr
		flags interval,timeout
		limit rate over 600/minute counter
		comment "connections from each network"
		elements = { 203.0.113.128/25 limit rate over 6/minute counter timeout 1h }
	}

	chain pre {
		comment "what comes in, by the port it was sent to"
		type filter hook prerouting priority raw - 10; policy accept;
		iif "lo" accept
		tcp dport 443 goto inbound
		tcp dport 8443 goto inbound
		udp dport 443 goto inbound_udp
		udp dport 8443 goto inbound_udp
	}

	chain forwarded {
		comment "what containers send"
		type filter hook forward priority raw - 10; policy accept;
		tcp sport 443 goto cut
		tcp sport 8443 goto cut
		udp sport 443 goto cut
		udp sport 8443 goto cut
	}

	chain out {
		comment "what this host sends"
		type filter hook output priority raw - 10; policy accept;
		tcp sport 443 goto cut
		tcp sport 8443 goto cut
		udp sport 443 goto cut
		udp sport 8443 goto cut
	}

	chain post {
		comment "what goes out, by the port it is seen to come from"
		type filter hook postrouting priority srcnat + 10; policy accept;
		tcp sport 443 goto outdata
		tcp sport 8443 goto outdata
		udp sport 443 goto outdata
		udp sport 8443 goto outdata
	}

	chain inbound {
		comment "towards the service ports, TCP"
		ip saddr @block ip saddr != @allow counter drop
		ip saddr & 255.255.0.0 == @near ip saddr @block_net ip saddr != @allow counter drop
		tcp flags syn / fin,syn,rst,ack goto newconn
	}

	chain inbound_udp {
		comment "towards the service ports, UDP"
		ip saddr @block ip saddr != @allow counter drop
		ip saddr & 255.255.0.0 == @near ip saddr @block_net ip saddr != @allow counter drop
		@th,64,8 & 0xa0 == 0x80 jump newconn comment "QUIC Initial"
	}

	chain newconn {
		comment "begins a connection"
		ip saddr & 255.255.0.0 == @near ip saddr @newc_net ip saddr != @allow counter drop
	}

	chain cut {
		comment "from the service ports"
		ip daddr @block ip daddr != @allow goto refuse
		ip daddr & 255.255.0.0 == @near ip daddr @block_net ip daddr != @allow goto refuse
	}

	chain refuse {
		comment "a server refused its packets stops at once"
		meta l4proto tcp counter reject with tcp reset
		counter reject
	}

	chain outdata {
		comment "from the service ports"
		ip daddr @egr ip daddr != @allow counter drop
	}
}
"""


def element(measure, text, rate=0, ttl_s=3600.0):
    return Element(measure, parse_span(text), rate, time.time() + ttl_s)


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
            element(Measure.INGRESS, "2001:db8:3::/48", 2_048),
            element(Measure.CONNECTIONS, "203.0.113.128/25", 360),
            element(Measure.CONNECTIONS, "2001:db8:3::9", 30),
        ]
    )


@pytest.fixture
def nft(namespace):
    enforcer = Nftables(netns=namespace.name)
    enforcer.open()
    yield enforcer
    enforcer.close(keep=True)


def same(wish, held):
    """Whether two sets differ by no more than the time it took to read one."""
    return plan(wish, held).is_empty


def test_nft_lists_it_as_a_person_would_write_it(namespace, nft):
    now = time.time()
    nft._clock = lambda: now  # a whole number of seconds to each deadline
    hour = now + 3600
    nft.set_guards(["192.0.2.1", "192.0.2.64/26"], [443, 8443])
    nft.apply(
        ChangeSet(
            additions=(
                Element(Measure.DROP, parse_span("203.0.113.7"), 0, hour),
                Element(Measure.DROP, parse_span("198.51.100.0/24"), 0, hour),
                Element(Measure.EGRESS, parse_span("192.0.2.9"), 5_120, hour),
                Element(Measure.CONNECTIONS, parse_span("203.0.113.128/25"), 360, hour),
            )
        )
    )
    assert LISTING == namespace.nft("-s", "list", "table", "ip", "excise")


def test_both_tables_have_the_same_shape(namespace, nft):
    texts = ("192.0.2.1", "2001:db8::1", "192.0.2.64/26", "2001:db8:1::/48")
    everywhere = [element(m, text, 36_000 * (m != "drop")) for m in Measure for text in texts]
    nft.apply(ChangeSet(additions=tuple(everywhere)))
    nft.apply(ChangeSet(removals=tuple(everywhere)))
    v4 = namespace.nft("-s", "list", "table", "ip", "excise")
    v6 = namespace.nft("-s", "list", "table", "ip6", "excise")
    translated = v4.replace("ipv4_addr", "ipv6_addr").replace("ip ", "ip6 ")
    for of_v4, of_v6 in (("& 255.255.0.0", "& ffff:ffff::"), ("192.0.0.0", "2001:db8::")):
        translated = translated.replace(of_v4, of_v6)
    assert translated.replace("length > 120", "length > 140") == without_slash64(v6)


def without_slash64(listing):
    """Return a listing of the v6 table without the sets that only it has, and their rules."""
    sets = re.sub(r"\tset \w+_64 \{\n(\t\t.*\n)*\t\}\n\n", "", listing)
    return re.sub(r"\t\t.*@\w+_64 .*\n", "", sets)


def test_a_listing_loads_again_and_lists_the_same(namespace, nft):
    nft.set_guards(["192.0.2.0/24", "2001:db8:9::/48"], [443])
    nft.apply(plan(some(), nft.read()))
    listed = namespace.nft("-s", "list", "ruleset")
    namespace.nft("-f", "-", stdin="flush ruleset\n" + listed)
    assert listed == namespace.nft("-s", "list", "ruleset")


def as_nft_says(namespace):
    """Return {set: {texts}} of all timed sets from nft's own JSON."""
    found = {}
    for item in json.loads(namespace.nft("-j", "list", "ruleset"))["nftables"]:
        listed = item.get("set", {})
        if "timeout" not in listed.get("flags", []):
            continue
        for entry in listed.get("elem", []):
            value = entry["elem"]["val"]
            if listed["name"].endswith("_64"):
                value = f"{value}/64"
            elif isinstance(value, dict):
                value = f"{value['prefix']['addr']}/{value['prefix']['len']}"
            where = listed["family"], listed["name"]
            found.setdefault(where, set()).add(str(parse_span(value)))
    return found


def test_nft_says_the_same_as_we_read(namespace, nft):
    nft.apply(plan(some(), nft.read()))
    ours = {}
    for e in nft.read():
        family = "ip" if e.span.version == 4 else "ip6"
        short = {"drop": "block", "egress": "egr", "ingress": "igr", "connections": "newc"}
        ending = "" if e.span.is_host else "_64" if e.span.is_slash64 else "_net"
        name = short[e.measure] + ending
        ours.setdefault((family, name), set()).add(str(e.span))
    assert ours == as_nft_says(namespace)


def test_where_the_kernel_does_not_renew_in_place_elements_are_taken_out_and_put_in(nft):
    nft._renews_in_place = False
    nft.apply(plan(some(), nft.read()))
    later = gather(Element(e.measure, e.span, e.rate, e.until + 600) for e in some())
    nft.apply(plan(later, nft.read()))
    assert same(later, nft.read())


def test_a_kernel_that_ignores_renewals_is_found_out_and_served(nft, monkeypatch):
    """Linux before 6.12 takes a renewal without an error and leaves the deadline as it was."""
    nft.apply(plan(some(), nft.read()))
    really = content.changes

    def ignoring(change, clock, *, in_place):
        return iter(()) if in_place else really(change, clock, in_place=in_place)

    monkeypatch.setattr(content, "changes", ignoring)
    later = gather(Element(e.measure, e.span, e.rate, e.until + 600) for e in some())
    nft.apply(plan(later, nft.read()))
    assert same(later, nft.read())
    monkeypatch.setattr(content, "changes", lambda change, clock, in_place: iter(()))
    change = plan(some(), nft.read())
    with pytest.raises(DivergedError):  # it is not tried twice
        nft.apply(change)


def test_a_removal_that_did_not_take_is_told(nft, monkeypatch):
    nft.apply(plan(some(), nft.read()))
    change = plan(ActiveSet(), nft.read())
    monkeypatch.setattr(content, "changes", lambda change, clock, in_place: iter(()))
    with pytest.raises(DivergedError, match="10 of 10"):
        nft.apply(change)


def test_elements_lapse_by_themselves(namespace, nft):
    nft.apply(ChangeSet(additions=(element(Measure.DROP, "203.0.113.7", ttl_s=1.0),)))
    nft.apply(ChangeSet(additions=(element(Measure.DROP, "198.51.100.0/24", ttl_s=1.0),)))
    deadline = time.monotonic() + 10
    while len(nft.read()) and time.monotonic() < deadline:
        pass
    assert ActiveSet() == nft.read()
    # the closing entry of a lapsed network does not stand in the way of a new one
    nft.apply(ChangeSet(additions=(element(Measure.DROP, "198.51.0.0/16"),)))
    assert ["198.51.0.0/16"] == [str(e.span) for e in nft.read()]


def test_an_overlap_with_something_put_there_by_hand_is_told(namespace, nft):
    namespace.nft("add element ip excise block_net { 198.51.100.0/25 timeout 1h }")
    with pytest.raises(DivergedError):
        nft.apply(ChangeSet(additions=(element(Measure.DROP, "198.51.100.0/24"),)))
    wish = gather([element(Measure.DROP, "198.51.100.0/24")])
    nft.replace(wish)
    assert same(wish, nft.read())


def guards_held(nft):
    reader = nft._ground.reader
    held = reader.guards(reader.sets())
    return held.allow, held.ports


def test_guards_are_replaced_and_unchanged_guards_are_left_alone(nft):
    nft.set_guards(["192.0.2.0/24", "2001:db8::/32", "192.0.2.7"], [443])
    generation = nft._ground.reader.generation()
    nft.set_guards(["192.0.2.0/24", "2001:db8::/32"], [443])
    assert generation == nft._ground.reader.generation()
    nft.set_guards([], [8443])
    assert ((), (8443,)) == guards_held(nft)


def test_guards_that_found_no_table_are_in_place_after_the_rebuild(namespace, nft):
    namespace.nft("flush ruleset")
    with pytest.raises(DivergedError):
        nft.set_guards(["192.0.2.0/24"], [443])
    nft.replace(some())
    assert (tuple(merged(["192.0.2.0/24"])), (443,)) == guards_held(nft)


@pytest.mark.parametrize(
    ("meddling", "expected"),
    [
        ("add table inet other", True),
        ("add table ip other; add chain ip other c; add rule ip other c drop", True),
        ("insert rule ip excise pre accept", False),
        ("add rule ip excise outdata accept", False),
        ("add chain ip excise theirs", False),
        ("add chain ip6 excise theirs { type filter hook input priority 0; }", False),
        ("flush set ip excise allow", False),
        ("add element ip6 excise allow { 2001:db8:7::/48 }", False),
        ("delete element ip excise ports { 443 }", False),
        ("flush chain ip6 excise inbound", False),
        ("delete table ip excise", False),
        ("flush ruleset", False),
        ("add table ip excise { flags dormant; }", False),
        ("delete element ip excise block { 203.0.113.7 }", False),
        ("delete element ip6 excise block_64 { 2001:db8:1:: }", False),
        ("add chain ip excise pre { policy drop; }", False),
        ("add element ip excise allow { 203.0.113.7 }", False),
        ("add element ip6 excise ports { 22 }", False),
    ],
)
def test_meddling_is_noticed_and_what_concerns_others_is_not(namespace, nft, meddling, expected):
    wish = some()
    nft.set_guards(["192.0.2.0/24", "2001:db8:9::/48"], [443, 8443])
    nft.apply(plan(wish, nft.read()))
    assert nft.in_sync()
    before = contents(namespace)
    namespace.nft(meddling)
    assert expected == nft.in_sync()
    nft.repair()
    assert nft.in_sync()
    assert before == contents(namespace)
    assert same(wish, nft.read())


def contents(namespace):
    """Return our tables as listed, in words that do not change with time."""
    listings = [
        namespace.nft("-s", "list", "table", family, "excise").splitlines()
        for family in ("ip", "ip6")
    ]
    return [re.sub(r" (timeout|expires) \w+", "", line) for listed in listings for line in listed]


def handles(namespace):
    """Return {(family, set): handle}: what was made anew has another."""
    # not the tables: nft 1.0.6 says of one that outlived its owner whatever it finds in memory
    listed = json.loads(namespace.nft("-j", "-a", "list", "sets"))["nftables"]
    sets = [item["set"] for item in listed if "set" in item]
    return {(one["family"], one["name"]): one["handle"] for one in sets}


@pytest.mark.parametrize(
    "meddling",
    ["insert rule ip excise pre accept", "flush chain ip6 excise cut", "add chain ip excise c"],
)
def test_rules_are_mended_while_the_sets_keep_what_they_hold(namespace, nft, meddling):
    nft.apply(plan(some(), nft.read()))
    before = handles(namespace)
    namespace.nft(meddling)

    assert 0 == nft.repair()
    assert nft.in_sync()
    assert before == handles(namespace)


def test_what_others_put_into_our_sets_goes_with_the_next_full_look(namespace, nft):
    nft.apply(plan(some(), nft.read()))
    namespace.nft("add element ip excise block { 203.0.113.99 timeout 1h }")
    heir = Nftables(netns=namespace.name)
    heir.open()
    heir.replace(some())

    assert same(some(), heir.read())
    heir.close(keep=True)


def test_a_restart_takes_over_what_is_there_with_its_deadlines(namespace, nft):
    wish = some()
    nft.set_guards(["192.0.2.0/24"], [443])
    nft.apply(plan(wish, nft.read()))
    nft.close(keep=True)
    before = handles(namespace)
    namespace.nft("flush chain ip excise inbound")  # whatever became of the rules meanwhile
    again = Nftables(netns=namespace.name)
    again.open()
    assert before == handles(namespace)
    assert same(wish, again.read())
    assert merged(["192.0.2.0/24"]) == list(again._ground.guards.allow)
    assert "ip saddr @block ip saddr != @allow counter packets 0 bytes 0 drop" in namespace.nft(
        "list chain ip excise inbound"
    )
    again.close(keep=False)


def test_a_table_of_our_name_made_by_somebody_else_is_refused(namespace):
    namespace.nft("add table ip excise")
    stranger = Nftables(netns=namespace.name)
    with pytest.raises(ForeignTableError, match="nft delete table ip excise"):
        stranger.open()
    assert "table ip excise" in namespace.nft("list ruleset")
    namespace.nft("delete table ip excise")
    stranger.open()  # once it is out of the way
    stranger.close(keep=False)


def test_with_an_owner_nobody_else_can_change_or_flush_it(namespace):
    enforcer = Nftables(owner=True, netns=namespace.name)
    enforcer.open()
    enforcer.apply(plan(some(), enforcer.read()))
    namespace.nft("flush ruleset")
    assert enforcer.in_sync()
    refused = namespace.run("nft", "delete", "table", "ip", "excise", check=False)
    assert refused.returncode != 0
    other = Nftables(netns=namespace.name)
    with pytest.raises(ForeignTableError, match="another running process"):
        other.open()
    other.close(keep=True)
    enforcer.close(keep=True)
    before = handles(namespace)
    heir = Nftables(owner=True, netns=namespace.name)
    heir.open()
    assert before == handles(namespace)
    assert same(some(), heir.read())
    assert namespace.run("nft", "delete", "table", "ip", "excise", check=False).returncode != 0
    heir.close(keep=False)
    assert "" == namespace.nft("list", "ruleset")


def test_lifting_all_leaves_nothing(namespace, nft):
    nft.apply(plan(some(), nft.read()))
    nft.lift_all()
    assert "" == namespace.nft("list", "ruleset")
    assert ActiveSet() == nft.read()
    assert nft.in_sync()


def test_counters_are_told_by_target_but_for_single_dropped_clients(nft):
    held = list(some())
    nft.apply(plan(some(), nft.read()))
    counted = nft.counters(held).traffic
    drops = [e.span for e in held if e.measure is Measure.DROP]
    alone = {span for span in drops if span.is_host or span.is_slash64}
    assert {(e.measure, e.span) for e in held if e.span not in alone} == set(counted)
    assert {(0, 0)} == {(t.packets, t.bytes) for t in counted.values()}


def test_counters_are_read_past_elements_that_have_lapsed(nft):
    base = parse_span("198.18.0.0/15").start
    spans = [Span(4, base + n, base + n) for n in range(200)]
    every = [Element(Measure.EGRESS, span, 5_120, time.time() + 600) for span in spans]
    nft.apply(ChangeSet(additions=tuple(every[::3])))
    assert {(e.measure, e.span) for e in every[::3]} == set(nft.counters(every).traffic)


NO_CAPABILITY = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
WITHOUT_RIGHTS = """
import sys
from excise.enforce import nft_content as content
from excise.enforce.nft import Nftables
from excise.errors import PrivilegeError
nft = Nftables()
try:
    if sys.argv[1] == "open":
        nft.open()
    from excise.enforce.nft_socket import NftSocket
    from excise.enforce.nft_layout import build
    NftSocket().commit(list(build((), 0)))
except PrivilegeError as e:
    print("refused:", e)
"""


@pytest.mark.parametrize("step", ["open", "commit"])
def test_without_the_right_it_says_so_and_does_not_hang(namespace, step):
    done = subprocess.run(
        namespace.command(*NO_CAPABILITY, sys.executable, "-c", WITHOUT_RIGHTS, step),
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert done.stdout.startswith("refused:")
    assert "CAP_NET_ADMIN" in done.stdout
