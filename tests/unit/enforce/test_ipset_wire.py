"""ipset messages, byte for byte, and beside pyroute2's own."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.nfnetlink.ipset import ipset_msg

from excise.enforce import ipset_wire as wire
from excise.enforce.ipset_wire import Cmd, Command, Entry, Header, Kind, key_of
from excise.enforce.nft_wire import NLA, Reply, attr, nest, text

HOSTS4, HOSTS6 = Kind("hash:ip", 4), Kind("hash:ip", 6)
NETS4, NETS6 = Kind("hash:net", 4, counted=True), Kind("hash:net", 6)
BARE4, PORTS = Kind("hash:net", 4, timed=False), Kind("bitmap:port", 0, timed=False)
NAMED = "05000100060000000600020078000000"  # IPSET_ATTR_PROTOCOL 6, IPSET_ATTR_SETNAME "x"


def packed(command):
    return command.payload.hex()


@pytest.mark.parametrize(
    ("kind", "keys", "expected"),
    [
        pytest.param(
            HOSTS4,
            {key_of(0xC0000201, 32): 3600},
            "180007800c00018008000140c00002010800064000000e10",
            id="address",
        ),
        pytest.param(
            HOSTS6,
            {key_of(0x20010DB8 << 96 | 1, 128): 1},
            "24000780180001801400024020010db8000000000000000000000001"
            "0800064000000001",
            id="v6 address",
        ),
        pytest.param(
            NETS4,
            {key_of(0xC6336400, 24): 3600},
            "200007800c00018008000140c63364000500030018000000"
            "0800064000000e10",
            id="network",
        ),
        pytest.param(
            NETS6,
            {key_of(0x20010DB8 << 96, 64): 3600},
            "2c000780180001801400024020010db8000000000000000000000000"
            "05000300400000000800064000000e10",
            id="v6 network",
        ),
        pytest.param(
            BARE4,
            {key_of(0xC6336400, 24): 0},
            "180007800c00018008000140c63364000500030018000000",
            id="without a deadline",
        ),
        pytest.param(PORTS, {443: 0}, "0c0007800600044001bb0000", id="port"),
    ],
)  # fmt: skip
def test_an_entry_is_these_bytes(kind, keys, expected):
    (command,) = wire.add("x", kind, keys)
    size = struct.pack("=H", len(expected) // 2 + 4).hex()
    assert NAMED + "0800094000000000" + size + "0880" + expected == packed(command)


def test_a_removal_says_no_deadline():
    (command,) = wire.delete("x", HOSTS4, [key_of(0xC0000201, 32)])
    entry = "100007800c00018008000140c0000201"
    assert (Cmd.DEL, NAMED + "080009400000000014000880" + entry) == (
        command.cmd,
        packed(command),
    )


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (wire.destroy("x"), NAMED),
        (wire.flush("x"), NAMED),
        (wire.list_entries("x"), NAMED),
        (wire.swap("x", "y"), NAMED + "0600030079000000"),
        (wire.list_headers(), "05000100060000000800064000000004"),
        (wire.ask_protocol(), "0500010006000000"),
        (
            wire.test("x", NETS4, key_of(0xC6336400, 24)),
            NAMED + "180007800c00018008000140c63364000500030018000000",
        ),
    ],
    ids=["destroy", "flush", "list", "swap", "headers", "protocol", "test"],
)
def test_a_command_is_these_bytes(command, expected):
    assert expected == packed(command)


def pyroute2_create(name, kind, revision, family, data):
    """Return what pyroute2's IPSet.create would send, as (type, bytes)."""
    message = ipset_msg()
    message["attrs"] = [
        ["IPSET_ATTR_PROTOCOL", 6],
        ["IPSET_ATTR_SETNAME", name],
        ["IPSET_ATTR_TYPENAME", kind],
        ["IPSET_ATTR_REVISION", revision],
        ["IPSET_ATTR_FAMILY", family],
        ["IPSET_ATTR_DATA", {"attrs": data}],
    ]
    message["nfgen_family"] = family
    message["header"]["type"] = 6 << 8 | Cmd.CREATE
    message["header"]["flags"] = 0x205
    message["header"]["sequence_number"] = 9
    message.encode()
    return bytes(message.data)


@pytest.mark.parametrize(
    ("kind", "revision", "family", "more"),
    [
        (HOSTS4, 1, 2, [["IPSET_ATTR_TIMEOUT", 0]]),
        (HOSTS6, 1, 10, [["IPSET_ATTR_TIMEOUT", 0]]),
        (NETS4, 3, 2, [["IPSET_ATTR_TIMEOUT", 0], ["IPSET_ATTR_CADT_FLAGS", 8]]),
        (BARE4, 3, 2, []),
    ],
)
def test_a_set_is_made_as_pyroute2_would_make_it(kind, revision, family, more):
    data = [["IPSET_ATTR_HASHSIZE", 1024], ["IPSET_ATTR_MAXELEM", 65536], *more]
    theirs = pyroute2_create("excise4-block", kind.typename, revision, family, data)
    ours = wire.frame([wire.create("excise4-block", kind, 65536, 1024)], 9, 0x4)
    assert theirs == ours


def test_a_set_of_ports_holds_all_there_are():
    data = nest(7, attr(4 | 0x4000, b"\0\0"), attr(5 | 0x4000, b"\xff\xff"))
    assert wire.create("x", PORTS, 0, 0).payload.endswith(data)


@given(st.integers(0, 12_000), st.sampled_from([HOSTS4, HOSTS6, NETS4, NETS6]))
def test_many_entries_share_messages_that_are_never_too_long_and_none_is_lost(number, kind):
    bits = wire.BITS[kind.version]
    held = {key_of(n, bits): n + 1 for n in range(number)}
    commands = list(wire.add("x", kind, held))
    assert all(len(c.payload) < 1 << 16 for c in commands)
    sizes = [NLA.unpack_from(c.payload, len(NAMED) // 2 + 8)[0] - 4 for c in commands]
    entry = len(next(wire.pack_entries(kind, [0], [0])))
    assert number == sum(sizes) // entry


def test_messages_are_numbered_and_addressed():
    framed = wire.frame([Command(Cmd.FLUSH, 4, b""), Command(Cmd.LIST, 0, b"")], 7, 0x4)
    first = struct.pack("=IHHII", 20, 0x0604, 0x5, 7, 0) + bytes([2, 0, 0, 0])
    second = struct.pack("=IHHII", 20, 0x0607, 0x5, 8, 0) + bytes(4)
    assert first + second == framed


def reply(payload):
    return Reply(0, 0, 1, 2, payload)


def dumped(version, address, *, left=None, prefix=None, counted=None):
    """Return an entry as the kernel dumps it: the address is not marked as big-endian."""
    size = wire.BITS[version] // 8
    parts = [nest(1, attr(1 if version == 4 else 2, address.to_bytes(size, "big")))]
    if prefix is not None:
        parts.append(attr(3, bytes([prefix])))
    if left is not None:
        parts.append(attr(6 | 0x4000, struct.pack("!I", left)))
    if counted:
        parts += [attr(24 + n | 0x4000, struct.pack("!Q", c)) for n, c in enumerate(counted)]
    return nest(7, *parts)


def test_what_is_dumped_is_read():
    body = [
        dumped(4, 0xC0000201, left=0),
        dumped(4, 0xC6336400, left=60, prefix=24, counted=(700, 7)),
        dumped(6, 1, left=5),
        nest(7, attr(4 | 0x4000, b"\x01\xbb")),
    ]
    expected = [
        Entry(key_of(0xC0000201, 32), None),
        Entry(key_of(0xC6336400, 24), 60, packets=7, bytes=700),
        Entry(key_of(1, 128), 5),
        Entry(443, None),
    ]
    assert expected == list(wire.read_entries(reply(nest(8, *body))))


entries = st.tuples(
    st.sampled_from([4, 6]),
    st.integers(0, (1 << 32) - 1),
    st.integers(0, wire.MOST_S),
    st.one_of(st.none(), st.integers(1, 32)),
)


@given(st.lists(entries, max_size=40), st.booleans())
def test_the_short_way_to_read_a_dump_gives_what_the_long_way_gives(found, alike):
    if alike:
        found = [(4, address, left, None) for _v, address, left, _p in found]
    block = nest(8, *(dumped(v, a, left=left, prefix=p) for v, a, left, p in found))
    long = {e.key: e.left_s for e in wire.read_entries(reply(block))}
    assert long == wire.read_left(reply(block))


def test_a_header_is_read():
    data = nest(
        7,
        attr(19 | 0x4000, struct.pack("!I", 512)),
        attr(6 | 0x4000, bytes(4)),
        attr(8 | 0x4000, struct.pack("!I", 8)),
        attr(24 | 0x4000, struct.pack("!I", 3)),
        attr(25 | 0x4000, struct.pack("!I", 2)),
    )
    body = text(2, "excise6-block-net") + text(3, "hash:net") + attr(5, b"\x0a") + data
    expected = Header("excise6-block-net", Kind("hash:net", 6, True, True), 3, 2, 512)
    assert expected == wire.read_header(reply(body))
    assert wire.read_header(reply(text(2, "excise6-block-net"))) is None


@pytest.mark.parametrize(
    ("payload", "expected"),
    [(attr(1, b"\x07") + attr(10, b"\x06"), (6, 7)), (attr(1, b"\x06"), (6, 6)), (b"", (0, 0))],
)
def test_protocols_are_read(payload, expected):
    assert expected == wire.read_protocol(reply(payload))


@given(st.binary(max_size=200))
def test_no_answer_makes_the_readers_fail(noise):
    for body in (noise, nest(8, noise), nest(8, nest(7, noise))):
        list(wire.read_entries(reply(body)))
        wire.read_left(reply(body))
        wire.read_header(reply(body))
        wire.read_protocol(reply(body))
