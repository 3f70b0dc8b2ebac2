"""The transport, with a socket that answers from a script."""

import errno
import socket
import struct
from collections import deque

import pytest

from excise.enforce import nft_socket
from excise.enforce.nft_socket import NftSocket
from excise.enforce.nft_wire import (
    FAMILY,
    HEADER,
    KernelError,
    Message,
    Msg,
    Nlm,
    text,
    unframe,
)
from excise.errors import (
    DivergedError,
    EnforceError,
    ForeignTableError,
    PrivilegeError,
    UnsupportedError,
)

TABLE = Message(Msg.NEWTABLE, 2, text(1, "excise"))


def told(sequence, code=0, words=""):
    body = struct.pack("=i", -code) + bytes(HEADER.size) + (text(1, words) if words else b"")
    return HEADER.pack(HEADER.size + len(body), 2, 0, sequence, 0) + body


def answer(sequence, payload=b"", flags=0, kind=0x0A00):
    body = FAMILY.pack(2, 0, 0, 0) + payload
    return HEADER.pack(HEADER.size + len(body), kind, flags, sequence, 0) + body


def done(sequence, flags=0):
    return HEADER.pack(HEADER.size + 4, 3, Nlm.MULTI | flags, sequence, 0) + bytes(4)


class FakeSocket:
    """Answers each datagram with what `script` makes of its sequence numbers."""

    def __init__(self):
        self.script = lambda sequences: []
        self.inbox = deque()
        self.sent = []
        self.refuse_force = False
        self.options = {}

    def setup_socket(self):
        return self

    def settimeout(self, seconds):
        assert seconds > 0

    def setsockopt(self, level, option, value):
        if self.refuse_force and option in {32, 33}:
            raise PermissionError(errno.EPERM, "not permitted")
        self.options[option] = value

    def getsockopt(self, level, option):
        return 212_992

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
    monkeypatch.setattr(nft_socket, "AsyncNetlinkSocket", lambda **options: fake)
    return fake


def test_a_transaction_is_done_when_its_last_message_is_acknowledged(kernel):
    kernel.script = lambda s: [told(s[-2])]
    NftSocket().commit([TABLE, TABLE])
    assert 1 == len(kernel.sent)


@pytest.mark.parametrize(
    ("code", "where", "error"),
    [
        (errno.EPERM, 0, PrivilegeError),
        (errno.ERESTART, 0, DivergedError),
        (errno.ENOMEM, 0, EnforceError),
        (errno.EPERM, 1, ForeignTableError),
        (errno.ENOENT, 1, DivergedError),
        (errno.EEXIST, 1, DivergedError),
        (errno.ENFILE, 1, DivergedError),
        (errno.EOPNOTSUPP, 1, UnsupportedError),
        (errno.EINVAL, 1, UnsupportedError),
    ],
)
def test_a_refusal_becomes_an_error_of_its_class_wherever_it_is_told(kernel, code, where, error):
    # the kernel tells of the whole batch at the number of its first header, and then no more
    kernel.script = lambda s: [told(s[where], code)] + ([told(s[-2])] if where else [])
    with pytest.raises(error) as caught:
        NftSocket().commit([TABLE, TABLE])
    assert error is type(caught.value)


def test_the_kernels_own_words_are_passed_on(kernel):
    kernel.script = lambda s: [told(s[1], errno.EINVAL, "flag is unknown")]
    with pytest.raises(UnsupportedError, match="flag is unknown"):
        NftSocket().commit([TABLE])


def test_the_first_of_several_refusals_is_the_one_told(kernel):
    kernel.script = lambda s: [told(s[1], errno.ENOENT) + told(s[2], errno.EPERM)]
    with pytest.raises(DivergedError):
        NftSocket().commit([TABLE, TABLE])


def test_a_kernel_that_says_nothing_does_not_hang_us(kernel):
    with pytest.raises(EnforceError, match="no answer"):
        NftSocket().commit([TABLE])


def test_answers_to_an_earlier_request_are_passed_over(kernel):
    kernel.script = lambda s: [told(s[0] - 1, errno.EPERM), told(s[-2])]
    nft = NftSocket()
    nft.commit([TABLE])
    nft.commit([TABLE])
    assert 2 == len(kernel.sent)


def test_nothing_to_do_sends_nothing(kernel):
    NftSocket().commit([])
    assert [] == kernel.sent


def test_a_dump_ends_with_done(kernel):
    kernel.script = lambda s: [answer(s[0], text(1, "a")) + answer(s[0], text(1, "b")), done(s[0])]
    assert 2 == len(NftSocket().ask(Message(Msg.GETTABLE, 0, b"")))


def test_a_dump_torn_by_a_change_is_asked_for_again(kernel):
    flags = iter([Nlm.DUMP_INTR, 0])
    kernel.script = lambda s: [answer(s[0], flags=next(flags)), done(s[0])]
    assert 1 == len(NftSocket().ask(Message(Msg.GETTABLE, 0, b"")))
    assert 2 == len(kernel.sent)


def test_a_dump_that_is_always_torn_is_given_up(kernel):
    kernel.script = lambda s: [done(s[0], Nlm.DUMP_INTR)]
    with pytest.raises(DivergedError, match="nft monitor"):
        NftSocket().ask(Message(Msg.GETTABLE, 0, b""))


def test_each_question_has_its_answer_in_order_even_where_the_kernel_is_silent(kernel):
    def script(s):
        first, second, third = s
        return [told(second, errno.ENOENT), answer(first, text(1, "x")), told(first), told(third)]

    kernel.script = script
    one, two, three = NftSocket().ask_each([Message(Msg.GETSETELEM, 2, b"")] * 3)
    assert text(1, "x") == one.payload
    assert (KernelError(errno.ENOENT, ""), KernelError(0, "")) == (two, three)


def test_many_questions_go_out_in_bounded_numbers(kernel):
    kernel.script = lambda s: [told(n) for n in s]
    assert 1000 == len(list(NftSocket().ask_each([Message(Msg.GETGEN, 0, b"")] * 1000)))
    assert 16 == len(kernel.sent)


def test_a_transaction_larger_than_the_buffer_is_an_error_not_a_crash(kernel):
    def script(sequences):
        raise OSError(errno.EMSGSIZE, "too long")

    kernel.script = script
    with pytest.raises(EnforceError, match="sending"):
        NftSocket().commit([TABLE])


def test_lost_answers_mean_that_nothing_is_known_any_more(kernel):
    kernel.script = lambda s: [OSError(errno.ENOBUFS, "lost")]
    with pytest.raises(DivergedError):
        NftSocket().commit([TABLE])


def test_without_the_right_to_force_it_buffers_grow_as_far_as_they_may(kernel):
    kernel.refuse_force = True
    NftSocket()
    assert {socket.SO_SNDBUF, socket.SO_RCVBUF} <= kernel.options.keys()


def test_sequence_numbers_start_over_before_they_wrap(kernel):
    kernel.script = lambda s: [told(s[-2])]
    nft = NftSocket()
    nft._sequence = (1 << 31) - 2
    nft.commit([TABLE])
    (begin, *_rest) = unframe(kernel.sent[0])
    assert 1 == begin.sequence
