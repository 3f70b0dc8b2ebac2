"""Counters as the kernel tells them: by rule, by element, and left out of what is compared."""

from excise.decide.plan import Element, Measure
from excise.decide.span import parse_span
from excise.enforce import nft_count as count
from excise.enforce import nft_elem as elem
from excise.enforce import nft_expr as expr
from excise.enforce.base import Traffic
from excise.enforce.nft_content import key_of
from excise.enforce.nft_wire import Msg, Reply, be64, nest, text


def counter(packets, byte_count):
    return expr.expression("counter", be64(1, byte_count), be64(2, packets))


def rule(*expressions):
    body = text(1, "excise") + text(2, "inbound") + nest(4, *expressions)
    return Reply(Msg.NEWRULE, 0, 1, 2, body)


def hit(name, packets, byte_count):
    return rule(expr.lookup(name), counter(packets, byte_count), expr.verdict(0))


def egress(target):
    return Element(Measure.EGRESS, parse_span(target), 5_120, 2e9)


def test_rules_are_added_up_by_what_their_set_is_for():
    rules = [hit("block", 1, 60), hit("block_net", 2, 120), hit("egr_net", 4, 6_000)]
    passing = [rule(expr.lookup("allow"), expr.verdict(1)), hit("ports", 9, 9)]

    assert {Measure.DROP: Traffic(3, 180), Measure.EGRESS: Traffic(4, 6_000)} == count.counted_by(
        [*rules, *passing]
    )


def test_an_element_s_counter_is_told_beside_its_limit_and_alone():
    limit = expr.limit_over(5_120, 1, 0, in_bytes=True)
    for own in ((limit, counter(3, 900)), (counter(3, 900),)):
        packed = elem.element(
            key_of(4, egress("203.0.113.7").span.start), 1, elem.element_expressions(*own)
        )
        message = elem.elements_message(Msg.NEWSETELEM, 2, "excise", "egr", [packed])
        answer = Reply(message.type, 0, 1, 2, message.payload)
        assert Traffic(3, 900) == count.count_of(egress("203.0.113.7"), answer)
        assert count.count_of(egress("203.0.113.8"), answer) is None


def test_single_dropped_addresses_alone_have_no_counter():
    drops = [Element(Measure.DROP, parse_span(t), 0, 2e9) for t in ("203.0.113.7", "192.0.2.0/24")]
    assert [False, True, True] == [count.is_counted(e) for e in (*drops, egress("203.0.113.7"))]


def test_a_request_asks_for_one_set_and_for_a_bounded_number():
    many = [egress(f"198.18.{n >> 8}.{n & 255}") for n in range(150)]
    v6, net = egress("2001:db8::1"), egress("192.0.2.0/24")
    groups = list(count.groups([v6, *many, net]))
    assert [1, 64, 64, 22, 1] == [len(group) for group in groups]
    assert [v6, *many, net] == [e for group in groups for e in group]
