"""What excise sends is what nft(8) makes of the same ruleset, written by hand in golden.nft."""

import time
from pathlib import Path

import pytest

from excise.decide.plan import ChangeSet, Element, Measure
from excise.decide.span import parse_span
from excise.enforce.nft import Nftables
from excise.enforce.nft_layout import FAMILIES, TABLE
from excise.enforce.nft_socket import NftSocket
from excise.enforce.nft_wire import NLA_TYPE, Message, Msg, parse, text, walk
from excise.model.portguard import PortGuard

pytestmark = pytest.mark.netns

GOLDEN = Path(__file__).with_name("golden.nft")
#: what the kernel numbers by itself: handles, positions, ids, uses, counts
NUMBERED = {
    Msg.GETTABLE: {3, 4},
    Msg.GETCHAIN: {2, 6},
    Msg.GETSET: {10, 16, 20},
    Msg.GETRULE: {3, 6},
}
#: where the name is, of a rule its chain's
NAMED = {Msg.GETTABLE: 1, Msg.GETCHAIN: 3, Msg.GETSET: 2, Msg.GETRULE: 2}


def everywhere():
    """Yield an element for each set of ours."""
    hosts, networks = ("192.0.2.1", "2001:db8::1"), ("192.0.2.64/26", "2001:db8:1::/48")
    for measure in Measure:
        for where in (*hosts, "2001:db8:2::/64", *networks):
            rate = 0 if measure is Measure.DROP else 36_000
            yield Element(measure, parse_span(where), rate, time.time() + 600)


def spelled(payload, depth=0):
    """Return attributes with nested ones opened, which the kernel may order as it likes."""
    found = []
    for kind, body in walk(payload):
        inner = walk(body)
        whole = sum((len(b) + 7) & ~3 for _, b in inner) == len(body) and body
        opens = whole and all(0 < k <= 40 for k, _ in inner) and depth < 8
        found.append((kind & NLA_TYPE, spelled(body, depth + 1) if opens else body.hex()))
    return found


def dumped(namespace, kind):
    """Return what our tables have of a kind, in the kernel's order: {(family, name): [...]}."""
    socket = NftSocket(namespace.name)
    found = {}
    try:
        for family in FAMILIES.values():
            only_ours = text(1, TABLE) if kind is Msg.GETRULE else b""
            for reply in socket.ask(Message(kind, family, only_ours)):
                if parse(reply.payload)[1].rstrip(b"\0").decode() != TABLE:
                    continue
                name = parse(reply.payload)[NAMED[kind]].rstrip(b"\0").decode()
                kept = [one for one in spelled(reply.payload) if one[0] not in NUMBERED[kind]]
                found.setdefault((family, name), []).append(kept)
    finally:
        socket.close()
    return found


@pytest.fixture
def pair(namespaces):
    """Return a namespace with what we made, and one with what nft made of the golden file."""
    ours, theirs = namespaces(), namespaces()
    nft = Nftables(containers=True, shaping=True, netns=ours.name)
    nft.open()
    nft.set_guards([], [443], PortGuard((8000,)))
    # a set is asked once it held something, for minutes
    nft.apply(ChangeSet(additions=tuple(everywhere())))
    nft.apply(ChangeSet(removals=tuple(everywhere())))
    theirs.nft("-f", str(GOLDEN))
    yield ours, theirs
    nft.close(keep=True)


@pytest.mark.parametrize("kind", NUMBERED, ids=lambda kind: kind.name)
def test_the_kernel_holds_the_same_as_of_the_ruleset_written_by_hand(pair, kind):
    ours, theirs = (dumped(namespace, kind) for namespace in pair)
    assert theirs.keys() == ours.keys()
    for where, expected in theirs.items():
        assert expected == ours[where], where


def instructions(listing):
    return [line.strip() for line in listing.splitlines() if line.lstrip().startswith("[")]


def test_nft_lists_the_same_instructions(pair):
    """The kernel's virtual machine, as nft(8) spells it."""
    ours, theirs = (
        namespace.run("nft", "--debug=netlink", "-s", "list", "table", "ip", "excise").stdout
        for namespace in pair
    )
    assert "lookup reg 1 set cls dreg 1" in theirs
    assert instructions(theirs) == instructions(ours)
