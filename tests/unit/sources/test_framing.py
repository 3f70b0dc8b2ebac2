"""Messages out of a TCP stream, however it is cut."""

from hypothesis import given
from hypothesis import strategies as st

from excise.decode.base import MAX_LINE_BYTES
from excise.sources.framing import Framing


def counted(message):
    return b"%d %s" % (len(message), message)


def take(pieces):
    framing, messages = Framing(), []
    for piece in pieces:
        messages += framing.take(piece)
    return framing, messages


payloads = st.binary(max_size=40).map(lambda b: b.replace(b"\n", b" ").rstrip(b"\r\0 "))


@given(st.lists(st.tuples(payloads, st.booleans()), max_size=8), st.integers(1, 30))
def test_both_framings_even_mixed_arrive_whole_however_cut(some, step):
    messages = [b"<13>" + payload for payload, _ in some]
    stream = b"".join(
        counted(message) if octets else message + b"\n"
        for message, (_, octets) in zip(messages, some, strict=True)
    )
    framing, got = take(stream[at : at + step] for at in range(0, len(stream), step))

    assert messages == got
    assert ([], False) == framing.end()


def test_a_counted_message_may_hold_newlines_and_its_last_one_is_taken_off():
    assert [b"<1>a\nb"] == take([counted(b"<1>a\nb\n")])[1]


def test_a_bare_line_may_begin_with_a_digit():
    lines = [b"203.0.113.7 - -", b"200 GET /", b"1750000000.123 x", b"7"]

    assert lines == take([b"\n".join(lines) + b"\n"])[1]


def test_a_line_without_end_is_passed_over_and_counted_and_the_next_arrives():
    framing, got = take([b"<1>" + b"x" * 100_000] * 5 + [b"\n<1>next\n"])

    assert ([b"<1>next"], 1) == (got, framing.too_long)


def test_a_counted_message_that_is_too_long_is_passed_over():
    huge = counted(b"<1>" + b"x" * (MAX_LINE_BYTES + 5))
    framing, got = take([huge[:1000], huge[1000:], counted(b"<1>next")])

    assert ([b"<1>next"], 1) == (got, framing.too_long)


def test_the_end_of_a_stream_gives_a_last_line_but_no_half_message():
    assert ([b"<1>last"], False) == take([b"<1>a\n<1>last"])[0].end()
    assert ([], True) == take([b"10 <1>half"])[0].end()
