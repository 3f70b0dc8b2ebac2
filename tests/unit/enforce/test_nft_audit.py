"""What others did, from datagrams; the kernel's filter, run by hand. The rest is in tests/netns."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from excise.enforce.base import ForeignChange
from excise.enforce.nft_audit import MOST_DEEDS, Transcript, kernel_filter
from excise.enforce.nft_wire import FAMILY, HEADER, SUBSYSTEM, Msg, attr, be32, text

OWN, FOREIGN = 77, 4242
INET = 1


def message(kind, *attributes, port=FOREIGN, family=2):
    body = FAMILY.pack(family, 0, 0, 0) + b"".join(attributes)
    return HEADER.pack(HEADER.size + len(body), SUBSYSTEM << 8 | kind, 0, 1, port) + body


def newgen(pid=4711, process="nft", port=FOREIGN):
    return message(Msg.NEWGEN, be32(1, 9), be32(2, pid), text(3, process), port=port, family=0)


def table(kind, name="excise", family=2, port=FOREIGN):
    return message(kind, text(1, name), family=family, port=port)


def chain(kind, name, in_table="excise"):
    return message(kind, text(1, in_table), text(3, name))


def rule(kind, name):
    return message(kind, text(1, "excise"), text(2, name))


def elements(kind, set_name, in_table="excise", port=FOREIGN):
    return message(kind, text(1, in_table), text(2, set_name), port=port)


def heard(*datagrams):
    transcript = Transcript(OWN)
    return [change for datagram in datagrams for change in transcript.feed(datagram)]


@pytest.mark.parametrize(
    ("datagrams", "deeds"),
    [
        ([rule(Msg.NEWRULE, "pre")], ["added rules to chain ip excise pre"]),
        ([rule(Msg.DELRULE, "cut") * 3], ["deleted rules of chain ip excise cut"]),
        ([table(Msg.NEWTABLE, family=10)], ["changed table ip6 excise"]),
        ([elements(Msg.DELSETELEM, "block")], ["deleted elements of set ip excise block"]),
        (
            [
                rule(Msg.DELRULE, "pre") + chain(Msg.DELCHAIN, "pre") + table(Msg.DELTABLE),
                table(Msg.DELTABLE, family=10) + table(Msg.DELTABLE, "nat"),
            ],
            ["deleted table ip excise", "deleted table ip6 excise"],
        ),
        ([table(Msg.DELTABLE, "nat")], []),
        ([table(Msg.DELTABLE, family=INET)], []),  # of our name, but not ours
    ],
)
def test_a_transaction_is_told_with_its_process(datagrams, deeds):
    assert [ForeignChange(4711, "nft", tuple(deeds))] == heard(*datagrams, newgen())


def test_a_change_reads_as_a_sentence():
    change = ForeignChange(4711, "nft", ("deleted table ip excise", "deleted table ip6 excise"))
    assert "nft (pid 4711) deleted table ip excise, deleted table ip6 excise" == str(change)


def test_our_own_changes_are_passed_over():
    assert [] == heard(table(Msg.DELTABLE, port=OWN), newgen(port=OWN))


def test_each_transaction_has_its_own_deeds():
    found = heard(rule(Msg.NEWRULE, "pre"), newgen(1, "iptables-nft"), newgen(2, "docker"))
    assert [1, 0] == [len(change.deeds) for change in found]


def test_after_a_loss_nothing_is_laid_at_the_wrong_door():
    transcript = Transcript(OWN)
    assert [] == list(transcript.feed(table(Msg.DELTABLE)))
    transcript.forget()
    assert [ForeignChange(5, "cron", ())] == list(transcript.feed(newgen(5, "cron")))


def test_deeds_of_one_transaction_are_bounded():
    many = b"".join(chain(Msg.NEWCHAIN, f"c{n}") for n in range(2 * MOST_DEEDS))
    (change,) = heard(many, newgen())
    assert MOST_DEEDS == len(change.deeds)


@given(st.binary(max_size=200))
def test_no_datagram_is_too_torn_to_read(datagram):
    heard(datagram)


@given(st.integers(0, 60))
def test_a_datagram_cut_short_is_read_as_far_as_it_goes(length):
    heard((rule(Msg.NEWRULE, "pre") + newgen())[:length])


def lets_through(datagram):
    """Run the classic BPF program (linux/filter.h) as the kernel would."""
    program = list(struct.iter_unpack("=HBBI", kernel_filter(OWN).tobytes()))
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, k = program[at]
        if code == 0x06:
            return k > 0
        if code == 0x15:
            at += 1 + (if_true if accumulator == k else if_false)
            continue
        size = {0x20: 4, 0x28: 2}[code]
        loaded = datagram[k : k + size]
        if len(loaded) < size:
            return False  # a load beyond the end drops the packet
        accumulator, at = int.from_bytes(loaded, "big"), at + 1


@pytest.mark.parametrize(
    ("datagram", "expected"),
    [
        (newgen(), True),
        (newgen(port=OWN), False),
        (table(Msg.DELTABLE), True),
        (table(Msg.DELTABLE, "x"), True),
        (rule(Msg.NEWRULE, "pre"), True),
        (elements(Msg.NEWSETELEM, "block"), True),
        (elements(Msg.DELSETELEM, "block"), True),
        (elements(Msg.NEWSETELEM, "block", port=OWN), False),
        (elements(Msg.NEWSETELEM, "s", in_table="crowdsec"), False),
        (elements(Msg.DELSETELEM, "s", in_table="excise2"), False),
        (message(Msg.NEWSETELEM, attr(1, b"x")), False),
    ],
)
def test_the_kernel_keeps_away_our_own_changes_and_others_elements(datagram, expected):
    assert expected is lets_through(datagram)
