"""Traffic control's messages against the kernel's headers, without a kernel."""

import struct

from excise.enforce import tc_wire as wire
from excise.enforce.nft_wire import attr, nest, parse, text, unframe

#: interface 3, class e8c5:1, 20 KiB/s: written out by hand after linux/pkt_sched.h; that tc(8)
#: makes the same class is said by tests/netns/test_shaping.py
GOLDEN_CLASS = bytes.fromhex(
    """
    00000000 03000000 0100c5e8 0000c5e8 00000000
    08000100 68746200
    34000280 30000100
    00010000 00000000 00500000
    00010000 00000000 00500000
    be402500 be402500
    ea050000 00000000 00000000
    """
)


def test_a_class_is_sent_as_tc_sends_it():
    assert GOLDEN_CLASS == wire.put_class(3, 1, 20_480).body


def test_a_rate_beyond_32_bits_is_cut_and_a_small_one_fits_its_ticks():
    for rate in (1, 1 << 40):
        options = parse(parse(wire.put_class(3, 1, rate).body[wire.TCMSG.size :])[2])[1]
        told, ticks = struct.unpack_from("=I", options, 8)[0], struct.unpack_from("=I", options, 24)
        assert min(rate, wire.MOST_RATE) == told
        assert 0 < ticks[0] <= wire.MOST_RATE


def test_only_a_root_is_told_and_ours_is_known_by_its_handle():
    def answer(index, handle, parent, kind):
        body = wire.TCMSG.pack(0, 0, 0, index, handle, parent, 0) + text(1, kind)
        return wire.frame([wire.Request(wire.Rtm.NEWQDISC, body)], 7)

    data = (
        answer(2, 0, wire.ROOT, "noqueue")
        + answer(3, wire.HANDLE, wire.ROOT, "htb")
        + answer(4, 1 << 16, wire.ROOT, "htb")
        + answer(4, 2 << 16, 1 << 16 | 1, "fq")
    )
    found = list(wire.roots(unframe(data)))
    assert [(2, "noqueue", False), (3, "htb", True), (4, "htb", False)] == [
        (q.index, q.kind, q.is_ours) for q in found
    ]


def test_the_discipline_passes_what_is_in_no_class():
    fields = parse(wire.put_qdisc(3).body[wire.TCMSG.size :])
    assert {1: b"htb\0", 2: attr(2, struct.pack("=5I", 3, 10, 0, 0, 0))} == fields


def test_an_interface_is_asked_for_by_name_and_answered_by_number():
    asked = wire.ask_link("eth0")
    assert text(3, "eth0") == asked.body[wire.IFINFOMSG.size :]
    body = wire.IFINFOMSG.pack(0, 0, 1, 9, 0, 0)
    (reply,) = unframe(wire.frame([wire.Request(wire.Rtm.GETLINK, body)], 1))
    assert 9 == wire.index_of(reply)


def test_only_our_own_discipline_is_ever_removed():
    _family, _pad, _pad2, index, handle, parent, _info = wire.TCMSG.unpack(wire.remove_root(3).body)
    assert (3, wire.HANDLE, wire.ROOT) == (index, handle, parent)
    assert b"" == nest(1)[4:]
