"""Who changed the ruleset, as the kernel tells it."""

import errno
import socket
import time

import pytest

from excise.decide.plan import ChangeSet, Element, Measure, gather
from excise.decide.span import Span, parse_span
from excise.enforce import nft_ground
from excise.enforce.nft import Nftables

pytestmark = pytest.mark.netns


def drops(count, first="198.18.0.0"):
    base, until = parse_span(first).start, time.time() + 3600
    return tuple(Element(Measure.DROP, Span(4, base + n, base + n), 0, until) for n in range(count))


@pytest.fixture
def nft(namespace):
    enforcer = Nftables(netns=namespace.name, audit=True)
    enforcer.open()
    enforcer.apply(ChangeSet(additions=drops(3)))
    yield enforcer
    enforcer.close(keep=True)


@pytest.mark.parametrize(
    ("meddling", "deeds"),
    [
        ("flush ruleset", ("deleted table ip excise", "deleted table ip6 excise")),
        ("delete table ip6 excise", ("deleted table ip6 excise",)),
        ("insert rule ip excise pre accept", ("added rules to chain ip excise pre",)),
        ("flush chain ip excise cut", ("deleted rules of chain ip excise cut",)),
        (
            "delete element ip excise block { 198.18.0.1 }",
            ("deleted elements of set ip excise block",),
        ),
    ],
)
def test_who_changed_our_tables_is_told_with_what_he_did(namespace, nft, meddling, deeds):
    namespace.nft("add table inet other")
    namespace.nft(meddling)
    heard = nft.witnessed()

    assert [("nft", deeds)] == [(change.process, change.deeds) for change in heard.changes]
    assert all(change.pid > 1 for change in heard.changes)
    assert (1, 0, True) == (heard.others, heard.lost, heard.listening)


def test_our_own_changes_small_and_large_are_not_heard(nft):
    nft.apply(ChangeSet(additions=drops(20_000)))
    nft.replace(gather(drops(20_000)))
    nft.apply(ChangeSet(removals=drops(1)))
    heard = nft.witnessed()

    assert ((), 0, 0, True) == (heard.changes, heard.others, heard.lost, heard.listening)


def test_after_a_large_change_of_ours_others_are_heard_again(namespace, nft):
    nft.apply(ChangeSet(additions=drops(20_000)))
    namespace.nft("delete table ip excise")

    assert ["nft"] == [change.process for change in nft.witnessed().changes]


def test_more_than_there_is_room_for_is_counted_as_lost_and_does_no_harm(namespace, nft):
    nft._ground._audit._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    for n in range(20):
        namespace.nft(f"add chain ip excise c{n}; add rule ip excise c{n} accept")
    lost = nft.witnessed().lost
    nft._ground._audit._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    namespace.nft("delete table ip excise")

    assert lost >= 1
    assert ["nft"] == [change.process for change in nft.witnessed().changes]


def test_without_the_wish_nobody_listens(namespace):
    quiet = Nftables(netns=namespace.name)
    quiet.open()
    namespace.nft("flush ruleset")

    assert (False, (), "") == (
        quiet.witnessed().listening,
        quiet.witnessed().changes,
        quiet.witnessed().problem,
    )
    quiet.close(keep=False)


def test_where_listening_is_refused_it_enforces_all_the_same_and_says_so(namespace, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(nft_ground, "NftAudit", refuse)
    deaf = Nftables(netns=namespace.name, audit=True)
    deaf.open()
    deaf.apply(ChangeSet(additions=drops(3)))

    assert 3 == len(deaf.read())
    assert "Operation not permitted" in deaf.witnessed().problem
    deaf.close(keep=False)
