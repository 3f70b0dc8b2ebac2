"""The transport, with a socket that answers from a script."""

import errno
import socket
import struct
from collections import deque

import pytest

from excise.enforce import ipset_socket
from excise.enforce.ipset_socket import PIPELINED, SEND_BYTES, IpsetSocket
from excise.enforce.ipset_wire import Cmd, Command, Err, ask_protocol, flush
from excise.enforce.nft_wire import FAMILY, HEADER, attr, unframe
from excise.errors import (
    DivergedError,
    EnforceError,
    ForeignTableError,
    PrivilegeError,
    UnsupportedError,
)

FLUSH = flush("x")


def told(sequence, code=0):
    body = struct.pack("=i", -code) + bytes(HEADER.size)
    return HEADER.pack(HEADER.size + len(body), 2, 0, sequence, 0) + body


def answer(sequence, payload=b""):
    body = FAMILY.pack(2, 0, 0, 0) + payload
    return HEADER.pack(HEADER.size + len(body), 0x0607, 0, sequence, 0) + body


def done(sequence):
    return HEADER.pack(HEADER.size + 4, 3, 2, sequence, 0) + bytes(4)


class FakeSocket:
    """Answers each datagram with what `script` makes of its sequence numbers."""

    def __init__(self):
        self.script = lambda sequences: [told(s) for s in sequences]
        self.inbox = deque()
        self.sent = []
        self.refuse_force = False
        self.options = {}

    def setup_socket(self):
        return self

    def settimeout(self, seconds):
        assert seconds > 0

    def setsockopt(self, level, option, value):
        if self.refuse_force and option == 33:
            raise PermissionError(errno.EPERM, "not permitted")
        self.options[option] = value

    def send(self, data):
        self.sent.append(data)
        self.inbox.extend(self.script([r.sequence for r in unframe(data)]))

    def recv(self, size):
        if not self.inbox:
            raise TimeoutError
        said = self.inbox.popleft()
        if isinstance(said, Exception):
            raise said
        return said

    def close(self):
        self.inbox.clear()


@pytest.fixture
def kernel(monkeypatch):
    fake = FakeSocket()
    monkeypatch.setattr(ipset_socket, "AsyncNetlinkSocket", lambda **options: fake)
    return fake


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (errno.EPERM, PrivilegeError),
        (errno.ENOENT, DivergedError),
        (errno.EEXIST, DivergedError),
        (Err.EXIST, DivergedError),
        (Err.HASH_FULL, DivergedError),
        (Err.TYPE_MISMATCH, ForeignTableError),
        (errno.EINVAL, UnsupportedError),
        (errno.EOPNOTSUPP, UnsupportedError),
        (Err.FIND_TYPE, UnsupportedError),
        (Err.PROTOCOL, UnsupportedError),
        (Err.MAX_SETS, EnforceError),
        (Err.BUSY, EnforceError),
        (errno.ENOMEM, EnforceError),
        (4999, EnforceError),
    ],
)
def test_a_refusal_becomes_an_error_of_its_class(kernel, code, error):
    kernel.script = lambda s: [told(s[0]), told(s[1], code)]
    with pytest.raises(error) as caught:
        IpsetSocket().do([FLUSH, FLUSH])
    assert error is type(caught.value)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EPERM, "Operation not permitted (FLUSH); this takes CAP_NET_ADMIN"),
        (Err.HASH_FULL, "the set is full (FLUSH)"),
        (Err.FIND_TYPE, "modprobe -a ip_set_hash_ip"),
    ],
)
def test_an_error_says_what_and_what_to_do(kernel, code, words):
    kernel.script = lambda s: [told(s[0], code)]
    with pytest.raises(EnforceError) as caught:
        IpsetSocket().do([FLUSH])
    assert words in str(caught.value)


def test_each_is_told_in_order_whatever_became_of_the_others(kernel):
    kernel.script = lambda s: [told(s[2]), told(s[0], 2), told(s[1])]
    commands = [flush("a"), flush("b"), flush("c")]
    expected = list(zip(commands, [2, 0, 0], strict=True))
    assert expected == list(IpsetSocket().try_each(commands))


def test_nothing_to_do_sends_nothing(kernel):
    IpsetSocket().do([])
    assert [] == kernel.sent


def test_what_is_sent_at_once_is_bounded_in_number_and_size(kernel):
    IpsetSocket().do([FLUSH] * (2 * PIPELINED + 1))
    assert 3 == len(kernel.sent)
    IpsetSocket().do([Command(Cmd.ADD, 4, bytes(60_000))] * 5)
    assert 3 + 3 == len(kernel.sent)
    assert all(len(data) <= SEND_BYTES for data in kernel.sent)


def test_a_question_has_its_answer(kernel):
    kernel.script = lambda s: [answer(s[0] - 1), answer(s[0], attr(1, b"\x07")), told(s[0])]
    assert attr(1, b"\x07") == IpsetSocket().ask(ask_protocol()).payload


def test_a_question_without_answer_is_an_error(kernel):
    with pytest.raises(UnsupportedError):
        IpsetSocket().ask(ask_protocol())
    kernel.script = lambda s: [told(s[0], errno.EPERM)]
    with pytest.raises(PrivilegeError):
        IpsetSocket().ask(ask_protocol())


def test_a_dump_ends_with_done_or_an_error(kernel):
    kernel.script = lambda s: [answer(s[0]) + answer(s[0]), answer(s[0] + 1), done(s[0])]
    assert 2 == len(list(IpsetSocket().dump(ask_protocol())))
    kernel.script = lambda s: [told(s[0], errno.ENOENT)]
    with pytest.raises(DivergedError):
        list(IpsetSocket().dump(ask_protocol()))


def test_a_kernel_that_says_nothing_does_not_hang_us(kernel):
    kernel.script = lambda s: []
    for use in (IpsetSocket().ask, lambda c: IpsetSocket().do([c])):
        with pytest.raises(EnforceError, match="no answer"):
            use(ask_protocol())


def test_lost_answers_mean_that_nothing_is_known_any_more(kernel):
    kernel.script = lambda s: [OSError(errno.ENOBUFS, "lost")]
    with pytest.raises(DivergedError):
        IpsetSocket().do([FLUSH])


def test_what_cannot_be_sent_is_an_error(kernel):
    def script(sequences):
        raise OSError(errno.EMSGSIZE, "too long")

    kernel.script = script
    with pytest.raises(EnforceError, match="FLUSH"):
        IpsetSocket().do([FLUSH])


def test_without_the_right_to_force_it_the_buffer_grows_as_far_as_it_may(kernel):
    kernel.refuse_force = True
    IpsetSocket()
    assert socket.SO_RCVBUF in kernel.options


def test_sequence_numbers_start_over_before_they_wrap(kernel):
    opened = IpsetSocket()
    opened._sequence = (1 << 31) - 2
    opened.do([FLUSH, FLUSH])
    assert [1, 2] == [r.sequence for r in unframe(kernel.sent[0])]
