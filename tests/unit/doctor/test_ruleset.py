"""Chains, rules and flowtables from the kernel's answers."""

import struct

import pytest

from excise.doctor.ruleset import Chain, PortRule, chain_of, flowtable_of, port_rules
from excise.enforce import nft_expr as expr
from excise.enforce.nft_wire import Msg, Reply, attr, be32, nest, text

INET, NETDEV = 1, 5


def answer(kind, *attributes, family=INET):
    return Reply(kind, 0, 1, family, b"".join(attributes))


def chain(*more, name="c"):
    return answer(Msg.NEWCHAIN, text(1, "t"), text(3, name), *more)


def hook(number, priority):
    return nest(4, be32(1, number), be32(2, priority))


@pytest.mark.parametrize(
    ("family", "reply", "expected"),
    [
        (INET, chain(), Chain("c")),
        (INET, chain(hook(0, -400), be32(5, 1)), Chain("c", "prerouting", -400)),
        (INET, chain(hook(1, 10), be32(5, 0)), Chain("c", "input", 10, drops=True)),
        (INET, chain(hook(5, 0)), Chain("c", "ingress", 0)),
        (NETDEV, chain(hook(0, -500)), Chain("c", "ingress", -500)),
        (NETDEV, chain(hook(1, 0)), Chain("c", "egress", 0)),
        (INET, chain(hook(9, 0)), Chain("c", "9", 0)),
    ],
)
def test_a_chain_is_read_with_its_hook_priority_and_policy(family, reply, expected):
    assert expected == chain_of(family, reply)


def test_a_flowtable_is_read_with_its_devices():
    devices = nest(3, text(1, "eth0"), text(1, "eth1"))
    body = nest(3, be32(1, 0), be32(2, 0), devices)
    reply = answer(22, text(1, "fw"), text(2, "ft"), body)
    assert ("ft", ("eth0", "eth1")) == flowtable_of(reply)


DPORT, SPORT = expr.payload(2, 2, 2), expr.payload(2, 0, 2)
PORT_443 = expr.compare(struct.pack("!H", 443))
XT_REJECT = expr.expression("target", text(1, "REJECT"))
XT_MULTIPORT = expr.expression(
    "match",
    text(1, "multiport"),
    attr(3, struct.pack("=BB15H15BB", 1, 2, 443, 80, *[0] * 13, *[0] * 15, 0)),
)


@pytest.mark.parametrize(
    ("expressions", "ports", "verdict"),
    [
        ((DPORT, PORT_443, expr.verdict(0)), {443}, "drop"),
        ((DPORT, PORT_443, expr.counter(), expr.verdict(1)), {443}, "accept"),
        ((DPORT, PORT_443, expr.reject_with_reset()), {443}, "reject"),
        ((DPORT, PORT_443, XT_REJECT), {443}, "reject"),
        ((DPORT, expr.lookup("web"), expr.verdict(0)), {80, 443}, "drop"),
        ((XT_MULTIPORT, expr.verdict(0)), {80, 443}, "drop"),
    ],
)
def test_a_rule_on_destination_ports_is_read(expressions, ports, verdict):
    reply = answer(Msg.NEWRULE, text(1, "t"), text(2, "input"), nest(4, *expressions))
    sets = {"web": frozenset({80, 443})}
    assert [PortRule("input", frozenset(ports), verdict)] == list(port_rules(reply, sets))


@pytest.mark.parametrize(
    "expressions",
    [
        (SPORT, PORT_443, expr.verdict(0)),
        (DPORT, PORT_443, expr.verdict(-4, "elsewhere")),
        (DPORT, PORT_443, expr.counter()),
        (expr.verdict(0),),
        (expr.payload(1, 12, 4), expr.compare(bytes(4)), expr.verdict(0)),
        (),
    ],
)
def test_a_rule_about_something_else_is_passed_over(expressions):
    reply = answer(Msg.NEWRULE, text(1, "t"), text(2, "input"), nest(4, *expressions))
    assert [] == list(port_rules(reply, {}))
